import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildDefinitions, loadRunSources, shippedFolders } from '../../src/producer/definitions-builder.ts';
import { checkWorkflow } from '../../src/producer/workflow-check.ts';
import { WorkflowCache } from '../../src/producer/workflow-cache.ts';
import { loadWorkflow, parseWorkflow } from '../../src/producer/workflow-file.ts';
import { formatProblem } from '../../src/shared/errors.ts';
import { loadPersonas } from '../../src/shared/persona-files.ts';
import { DIAMOND, fixtureRoot } from './fixture.ts';

const root = await fixtureRoot();
const personas = await loadPersonas(join(root, 'personas'));
const places = { cwd: root, packageRoot: root };
const HEAD = 'apiVersion: maestro/v1\nname: w\n';

/** Everything found in a workflow, as people see it. */
function problems(phases: string, head = HEAD): string[] {
  const loaded = parseWorkflow({ file: 'w.yaml', text: `${head}phases:${phases}\n` });
  return checkWorkflow({ ...loaded, personas, policyNames: ['backend', 'frontend'] }).map(formatProblem);
}

describe('loading a workflow', () => {
  it('finds a shipped workflow by its name', async () => {
    const loaded = await loadWorkflow('diamond', places);
    expect(loaded).toMatchObject({ file: 'workflows/diamond.yaml', text: DIAMOND, workflow: { name: 'diamond' } });
    expect(loaded.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  it('finds a workflow by its path', async () => {
    await writeFile(join(root, 'mine.yaml'), DIAMOND);
    expect((await loadWorkflow('./mine.yaml', places)).file).toBe('mine.yaml');
  });

  it('names the nearest shipped workflow when there is none of that name', async () => {
    await expect(loadWorkflow('dimond', places)).rejects.toThrow(/no shipped workflow.*did you mean "diamond"/);
  });

  it('does not take a folder for a workflow', async () => {
    await mkdir(join(root, 'folder'));
    await expect(loadWorkflow('folder', places)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('refuses a duplicate key, an unknown key and a wrong type with line and column', () => {
    const parse = (text: string) => () => parseWorkflow({ file: 'w.yaml', text });
    expect(parse(`${HEAD}phases:\n  a: { persona: idler }\n  a: { persona: idler }\n`)).toThrow(
      /w\.yaml:5:3: .*unique/,
    );
    expect(parse(`${HEAD}phases:\n  a: { persona: idler, forech: x }\n`)).toThrow(
      /w\.yaml:4:24: .*unknown key "forech"/,
    );
    expect(parse(`${HEAD}phases: ${'['.repeat(20_000)}`)).toThrow(
      /^w\.yaml is not valid:\n  w\.yaml:3:\d+: it is nested too deeply$/,
    );
    expect(parse(`${HEAD}phases:\n  a: { persona: idler, rework: many }\n`)).toThrow(/w\.yaml:4:32: phases\.a\.rework/);
    expect(parse(`${HEAD}phases:\n  a: { persona: idler, approval: { role: Boss! } }\n`)).toThrow(
      /w\.yaml:4:42: .*role/,
    );
  });
});

describe('checking a workflow', () => {
  it('accepts a sound workflow', () => {
    expect(problems('\n  a: { persona: idler }\n  b: { needs: [a], persona: idler, policy: none }')).toEqual([]);
  });

  it('refuses an empty workflow', () => {
    expect(problems(' {}')).toEqual(['w.yaml:3:9: phases: the workflow is empty; it needs at least one phase']);
  });

  it('reports every problem at once, in the order of the file', () => {
    const found = problems(
      '\n  build: { persona: idlr }\n  check: { needs: [biuld, check, build, build], persona: idler, policy: backnd }',
    );
    expect(found).toEqual([
      'w.yaml:4:21: phases.build: there is no persona "idlr" (did you mean "idler"?)',
      'w.yaml:5:20: phases.check.needs: there is no phase "biuld" (did you mean "build"?)',
      'w.yaml:5:27: phases.check.needs: a phase cannot need itself',
      'w.yaml:5:41: phases.check.needs: "build" is named twice',
      'w.yaml:5:73: phases.check.policy: there is no policy "backnd" (did you mean "backend"?)',
    ]);
  });

  it('shows the path of a cycle', () => {
    const found = problems(
      '\n  a: { needs: [c], persona: idler }\n  b: { needs: [a], persona: idler }\n  c: { needs: [b], persona: idler }',
    );
    expect(found).toEqual(['w.yaml:5:16: phases.b.needs: the phases wait for each other: a -> c -> b -> a']);
  });

  it('refuses a persona whose input nobody produces, and says who would', () => {
    expect(problems('\n  a: { persona: tester }')).toEqual([
      'w.yaml:4:3: phases.a: the persona "tester" needs "source_code", which is no input of the workflow and which no phase before this one produces; coder makes it',
    ]);
  });

  it('takes a persona input from the run inputs, from any ancestor, or from a colleague in the phase', () => {
    const inputs = `${HEAD}inputs: { design_document: { type: string } }\n`;
    expect(
      problems(
        '\n  a: { persona: coder }\n  b: { needs: [a], persona: idler }\n  c: { needs: [b], persona: tester }',
        inputs,
      ),
    ).toEqual([]);
    expect(problems('\n  a: { personas: [coder, tester] }', inputs)).toEqual([]);
    expect(problems('\n  a: { persona: coder }\n  b: { persona: tester }', inputs)).toHaveLength(1);
  });

  it('knows a persona under its alias, and refuses it twice in one phase', () => {
    const inputs = `${HEAD}inputs: { requirement: { type: string } }\n`;
    expect(problems('\n  a: { persona: ba }', inputs)).toEqual([]);
    expect(problems('\n  a: { personas: [ba, analyst] }', inputs)).toEqual([
      'w.yaml:5:23: phases.a: the persona "analyst" is named twice',
    ]);
  });

  it('checks 5,000 phases in a row within two seconds', () => {
    const lines = Array.from(
      { length: 5_000 },
      (_, i) => `\n  p${i}: { persona: idler${i > 0 ? `, needs: [p${i - 1}]` : ''} }`,
    );
    const loaded = parseWorkflow({ file: 'w.yaml', text: `${HEAD}phases:${lines.join('')}\n` });
    const started = performance.now();
    expect(checkWorkflow({ ...loaded, personas, policyNames: [] })).toEqual([]);
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});

const sources = await loadRunSources(shippedFolders(root));

describe('gathering the definitions of a run', () => {
  it('keeps the used personas, the reviewers that the policies name, and the model aliases', async () => {
    const definitions = buildDefinitions(await loadWorkflow('diamond', places), sources);
    expect(Object.keys(definitions.personas).toSorted()).toEqual([
      'analyst',
      'architect',
      'coder',
      'phase_reviewer',
      'security_specialist',
      'tester',
    ]);
    expect(definitions.models['claude-sonnet']).toBe('claude-sonnet-5-5');
    expect(definitions.policies.map(({ text }) => text.length > 1000)).toEqual([true]);
  });

  it('refuses a phase whose author is its own reviewer', () => {
    const text = `${HEAD}phases:\n  design: { persona: phase_reviewer }\n`;
    expect(() => buildDefinitions(parseWorkflow({ file: 'w.yaml', text }), sources)).toThrow(
      /design_review_approval of phase "design" is judged by "phase_reviewer", who is an author/,
    );
  });
});

describe('remembering workflow files', () => {
  it('parses a file again when it has changed, and each time when it names others', async () => {
    const cache = new WorkflowCache(root);
    const file = join(root, 'workflows', 'remembered.yaml');
    await writeFile(file, `${HEAD}phases: { a: { persona: idler } }\n`);
    const first = await cache.load('remembered');
    expect(await cache.load('remembered')).toBe(first);
    await writeFile(file, `${HEAD}phases: { b: { persona: idler } }\n`);
    expect(Object.keys((await cache.load('remembered')).workflow.phases)).toEqual(['b']);
    await writeFile(file, `${HEAD}phases: { b: { workflow: diamond, with: { requirement: "shorten my urls" } } }\n`);
    const nested = await cache.load('remembered');
    expect(await cache.load('remembered')).not.toBe(nested);
  });
});
