import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildDefinitions, loadRunSources, shippedFolders } from '../../src/producer/definitions-builder.ts';
import { describePlan, planAsMermaid, planAsText } from '../../src/producer/plan-description.ts';
import { planRun } from '../../src/producer/plan.ts';
import { checkWorkflow } from '../../src/producer/workflow-check.ts';
import { loadWorkflow, parseWorkflow } from '../../src/producer/workflow-file.ts';
import { InvalidInputError, formatProblem } from '../../src/shared/errors.ts';
import { BlobRef, type RunPlan } from '../../src/shared/run-record.ts';
import { withInstances } from '../../src/shared/instance-limits.ts';
import { Name } from '../../src/shared/names.ts';
import { packagePath } from '../../src/shared/package-root.ts';
import { loadPersonas } from '../../src/shared/persona-files.ts';
import { type InputValues, Phase, Workflow } from '../../src/shared/workflow-schema.ts';
import { undocumentedKeys } from '../support/documented-keys.ts';
import { fixtureRoot } from './fixture.ts';

const root = await fixtureRoot();
const sources = await loadRunSources(shippedFolders(root));
const IDLE = 'persona: idler, policy: none';

/** Writes workflow files, by name; the first is the one that is loaded. */
async function files(texts: Record<string, string>) {
  const cwd = await mkdtemp(join(tmpdir(), 'maestro-flow-'));
  for (const [name, text] of Object.entries(texts)) {
    await mkdir(dirname(join(cwd, name)), { recursive: true });
    await writeFile(join(cwd, name), `apiVersion: maestro/v1\nname: w\n${text}\n`);
  }
  const loaded = await loadWorkflow(`./${Object.keys(texts)[0]}`, { cwd, packageRoot: root });
  return { loaded, definitions: buildDefinitions(loaded, sources) };
}

/** Everything that `maestro validate` says. */
const problems = (texts: Record<string, string>): Promise<string[]> =>
  files(texts).then(
    () => [],
    (err: unknown) => {
      if (err instanceof InvalidInputError) return err.problems.map(formatProblem);
      throw err;
    },
  );

async function planOf(texts: Record<string, string>, inputs: InputValues | null = {}): Promise<RunPlan> {
  const { loaded, definitions } = await files(texts);
  return planRun({
    definitions,
    definitionsRef: BlobRef.parse('0'.repeat(64)),
    policySet: sources.policySet,
    digest: loaded.digest,
    inputs,
    provider: 'anthropic',
    scripted: null,
  });
}

describe('a workflow file that misuses control flow is refused in one line each', () => {
  const INPUTS = 'inputs: { audit: { type: boolean, default: true }, env: { type: string, default: dev } }\n';
  it.each([
    [
      `phases:\n  a: { ${IDLE}, if: inputs.audt }`,
      'w.yaml:5:49: phases.a.if: there is no input "audt" (did you mean "audit"?)',
    ],
    [`phases:\n  a: { ${IDLE}, if: true }`, 'w.yaml:5:42: phases.a.if: write the expression as a text'],
    [
      `phases:\n  a: { ${IDLE} }\n  b: { ${IDLE}, if: 'phases.a.status == "passed"' }`,
      'w.yaml:6:50: phases.b.if: phase "a" does not come before this one; add it to `needs`',
    ],
    [
      `phases:\n  a: { ${IDLE} }\n  b: { needs: [a], ${IDLE}, if: phases.a.metrics.clarity_scor > 1 }`,
      'w.yaml:6:71: phases.b.if: "clarity_scor" is not a declared metric (did you mean "clarity_score"?)',
    ],
    [
      `phases:\n  a: { ${IDLE}, foreach: inputs.env }`,
      'w.yaml:5:47: phases.a.foreach: the expression gives a text; a list is needed here',
    ],
    [`phases:\n  a: { ${IDLE}, foreach: [] }`, 'w.yaml:5:47: phases.a.foreach: the list is empty'],
    [
      `phases:\n  a: { ${IDLE}, foreach: [x], matrix: { b: [y] } }`,
      'w.yaml:5:60: phases.a.matrix: a phase has `foreach` or `matrix`, not both: a matrix of one list is a foreach',
    ],
    [`phases:\n  a: { ${IDLE}, matrix: {} }`, 'w.yaml:5:46: phases.a.matrix: name at least one list'],
    [
      `phases:\n  a: { ${IDLE}, parallel: 2 }`,
      'w.yaml:5:48: phases.a.parallel: `parallel` limits the instances of `foreach` or `matrix`, and the phase has neither',
    ],
    [
      `phases:\n  a: { ${IDLE}, description: "\${{ item }}" }`,
      'w.yaml:5:56: phases.a.description: there is an `item` only in a phase with `foreach` or `matrix`',
    ],
    [
      `phases:\n  a: { ${IDLE}, concurrency: { group: "x-\${{ inputs.evn }}" } }`,
      'w.yaml:5:74: phases.a.concurrency.group: there is no input "evn" (did you mean "env"?)',
    ],
    [
      `phases:\n  a: { ${IDLE}, concurrency: { group: x, limit: 0 } }`,
      'w.yaml:5:70: phases.a.concurrency.limit: Too small: expected number to be >=1',
    ],
    [
      `concurrency: { group: x }\nphases:\n  a: { ${IDLE}, concurrency: { group: x } }`,
      'w.yaml:5:60: phases.a.concurrency.group: the whole run is in this group already; its phase would wait for itself',
    ],
    [
      `phases:\n  a--b: { ${IDLE} }`,
      'w.yaml:5:3: phases.a--b: a name in a workflow file holds no "--": names with it are made for the instances of a phase',
    ],
    [
      `phases:\n  a: { needs: [] }`,
      'w.yaml:5:6: phases.a: a phase has exactly one of `persona`, `personas` and `workflow`',
    ],
    [
      `phases:\n  a: { ${IDLE}, with: { x: 1 } }`,
      'w.yaml:5:44: phases.a.with: `with` gives inputs to a sub-workflow, and the phase has no `workflow`',
    ],
    [`phases:\n  a: { ${IDLE}, timeout: 0s }`, 'w.yaml:5:47: phases.a.timeout: a duration is from 1s to 480h'],
    [`priority: 101\nphases:\n  a: { ${IDLE} }`, 'w.yaml:3:11: priority: Too big: expected number to be <=100'],
    [
      `phases:\n  a: { workflow: ./sub.yaml, foreach: [x] }`,
      'w.yaml:5:39: phases.a.foreach: `foreach` is not for a phase that is a sub-workflow: repeat the phases inside it',
    ],
    [
      `phases:\n  a: { workflow: ./sub.yaml, policy: none }`,
      'w.yaml:5:38: phases.a.policy: `policy` is not for a phase that is a sub-workflow: say it inside it',
    ],
    [
      `phases:\n  a: { workflow: diamnd }`,
      'w.yaml:5:18: phases.a.workflow: there is no workflow file diamnd, and no shipped workflow of that name (did you mean "diamond"?)',
    ],
  ])('%s', async (text, message) => {
    const withInputs = text.startsWith('phases') ? `${INPUTS}${text}` : text;
    expect(await problems({ 'w.yaml': withInputs })).toEqual([message]);
  });

  it('a workflow that is a part of itself, with the way', async () => {
    const found = await problems({
      'w.yaml': 'phases:\n  a: { workflow: ./parts/b.yaml }',
      'parts/b.yaml': 'phases:\n  b: { workflow: ../w.yaml }',
    });
    expect(found).toEqual([
      'parts/b.yaml:4:18: phases.b.workflow: a workflow cannot be a part of itself: w.yaml -> parts/b.yaml -> w.yaml',
    ]);
  });

  it('what a sub-workflow is given', async () => {
    const sub = `inputs: { name: { type: string }, size: { type: number, default: 1 } }\nphases: { x: { ${IDLE} } }`;
    const found = await problems({
      'w.yaml':
        'phases:\n  a: { workflow: ./s.yaml, with: { nam: x, size: big } }\n  b: { workflow: ./s.yaml, with: { name: "${{ inputs.x }}" } }',
      's.yaml': sub,
    });
    expect(found).toEqual([
      'w.yaml:4:18: phases.a.with: s.yaml needs the input "name"',
      'w.yaml:4:36: phases.a.with: s.yaml has no input "nam" (did you mean "name"?)',
      'w.yaml:4:50: phases.a.with: the input "size" must be a number',
      'w.yaml:5:54: phases.b.with.name: there is no input "x"; the workflow takes none',
    ]);
  });

  it('what is wrong inside a sub-workflow, at its place there', async () => {
    const found = await problems({
      'w.yaml': 'phases:\n  a: { workflow: ./s.yaml }',
      's.yaml': `phases:\n  x: { persona: nobody }\n  y: { ${IDLE}, if: inputs.audit }`,
    });
    expect(found).toEqual([
      's.yaml:4:17: phases.x: there is no persona "nobody"',
      's.yaml:5:49: phases.y.if: there is no input "audit"; the workflow takes none',
    ]);
  });
});

describe('a sub-workflow', () => {
  const SUB = `inputs: { name: { type: string }, deep: { type: boolean, default: false } }
defaults: { attempts: 7 }
phases:
  make: { ${IDLE}, description: "Makes \${{ inputs.name }}." }
  check: { needs: [make], ${IDLE}, if: inputs.deep }
  also: { needs: [make], ${IDLE}, if: 'phases.make.status == "passed"' }`;

  it('may not multiply the phases of a run without end', async () => {
    const many = (count: number, of: string) =>
      `phases:\n${Array.from({ length: count }, (_, n) => `  p${n}: { ${of} }`).join('\n')}`;
    const texts = {
      'w.yaml': many(11, 'workflow: ./a.yaml'),
      'a.yaml': many(11, 'workflow: ./b.yaml'),
      'b.yaml': many(50, IDLE),
    };
    await expect(files(texts)).rejects.toMatchObject({ code: 'BAD_INPUT' });
    await expect(files(texts)).rejects.toThrow('more than 5000 phases');
  });

  it('may not have more instances than one phase, or one run, may', async () => {
    const list = (count: number) => `[${Array.from({ length: count }, (_, n) => n).join(', ')}]`;
    const repeated = (phases: number, count: number) =>
      `phases:\n${Array.from({ length: phases }, (_, n) => `  p${n}: { ${IDLE}, foreach: ${list(count)} }`).join('\n')}`;
    await expect(files({ 'w.yaml': repeated(1, 501) })).rejects.toThrow('phase "p0" has 501 instances: at most 500');
    await expect(files({ 'w.yaml': repeated(10, 500) })).resolves.toBeDefined();
    const subs = {
      'w.yaml': 'phases:\n  x: { workflow: ./s.yaml }\n  y: { workflow: ./s.yaml }',
      's.yaml': repeated(6, 450),
    };
    await expect(files(subs)).rejects.toMatchObject({
      code: 'BAD_INPUT',
      message: 'with those of "y--p5" the run has 5400 instances: at most 5000 over all its phases',
    });
    const [design, service] = (await planOf({ 'w.yaml': `phases:\n  d: { ${IDLE} }\n  s: { ${IDLE} }` }, {})).phases;
    if (design === undefined || service === undefined) throw new Error('no phases');
    const plan = await planOf({ 'w.yaml': `phases:\n  d: { ${IDLE} }` }, {});
    const made = (count: number, of: string) =>
      Array.from({ length: count }, (_, item) => ({
        ...service,
        name: Name.parse(`${of}--${item}`),
        instance: { of: service.name, item },
      }));
    const full = { ...plan, phases: [...made(4_998, 'f'), design, service] };
    expect(
      withInstances(full, 's', made(2, 's'))
        ?.phases.slice(-3)
        .map(({ name }) => name),
    ).toEqual(['s--0', 's--1', 's']);
    expect(() => withInstances(full, 's', made(3, 's'))).toThrow('the run has 5001 instances');
    // Those that stand in the plan count once.
    expect(withInstances(full, 's', made(0, 's'))).toBeNull();
  });

  it('stands in the place of its phase: first phases take its needs, later ones wait for its last', async () => {
    const plan = await planOf(
      {
        'w.yaml': `inputs: { who: { type: string } }
phases:
  start: { ${IDLE} }
  part: { needs: [start], workflow: ./s.yaml, if: 'inputs.who != ""', with: { name: "\${{ inputs.who }} & co", deep: true } }
  end: { needs: [part], ${IDLE}, if: 'phases["part--check"].status == "skipped"' }`,
        's.yaml': SUB,
      },
      { who: 'Ada' },
    );
    expect(plan.phases.map(({ name, needs }) => [name, needs])).toEqual([
      ['start', []],
      ['part--make', ['start']],
      ['part--check', ['part--make']],
      ['part--also', ['part--make']],
      ['end', ['part--check', 'part--also']],
    ]);
    expect(plan.parts).toEqual({ 'part--': { name: 'Ada & co', deep: true } });
    expect(plan.phases[1]).toMatchObject({
      attempts: 7,
      description: 'Makes <value>Ada & co</value>.',
      prefix: 'part--',
    });
    expect(plan.phases[2]?.conditions).toEqual([
      { text: 'inputs.who != ""', prefix: '' },
      { text: 'inputs.deep', prefix: 'part--' },
    ]);
  });

  it('may hold others, and may be used twice', async () => {
    const plan = await planOf({
      'w.yaml': 'phases:\n  a: { workflow: ./m.yaml }\n  b: { needs: [a], workflow: ./m.yaml }',
      'm.yaml': `phases:\n  x: { workflow: ./s.yaml, with: { name: n } }\n  y: { needs: [x], ${IDLE} }`,
      's.yaml': SUB,
    });
    expect(plan.phases.map(({ name }) => name)).toEqual(
      ['a', 'b'].flatMap((part) => ['x--make', 'x--check', 'x--also', 'y'].map((name) => `${part}--${name}`)),
    );
    expect(plan.phases.find(({ name }) => name === 'b--x--make')?.needs).toEqual(['a--y']);
  });

  it('is refused when its inputs do not fit once they are known', async () => {
    const texts = {
      'w.yaml':
        'inputs: { n: { type: number } }\nphases:\n  a: { workflow: ./s.yaml, with: { name: "${{ inputs.n }}" } }',
      's.yaml': SUB,
    };
    await expect(planOf(texts, { n: 3 })).rejects.toThrow(/"name" must be a string, and is a number/);
  });

  it('is judged by the policy of the name that its phase has in its file', async () => {
    const plan = await planOf({
      'w.yaml': 'phases:\n  part: { workflow: ./s.yaml }',
      's.yaml': 'phases:\n  frontend: { persona: idler }',
    });
    expect(plan.phases[0]).toMatchObject({ name: 'part--frontend', policy: 'frontend', policyFallback: false });
  });
});

describe('what a plan shows', () => {
  const TEXT = `priority: 7
concurrency: { group: "all-\${{ inputs.env }}" }
inputs: { env: { type: string, default: dev }, audit: { type: boolean, default: false } }
phases:
  a: { ${IDLE} }
  b: { needs: [a], ${IDLE}, if: 'inputs.audit && "<x>" != ""', concurrency: { group: "db-\${{ inputs.env }}", limit: 2 } }
  c: { needs: [a], ${IDLE}, foreach: phases.a.outputs.parts, parallel: 4 }`;

  it('tells conditions, lists, groups and priority, in every form', async () => {
    const plan = await planOf({ 'w.yaml': TEXT }, {});
    expect(plan).toMatchObject({ priority: 7, concurrency: { group: 'all-dev', limit: 1 } });
    const { definitions } = await files({ 'w.yaml': TEXT });
    const description = describePlan(plan, definitions, sources.models);
    expect(description).toMatchObject({ priority: 7, concurrency: { group: 'all-dev', limit: 1 } });
    expect(description.phases[1]).toMatchObject({
      conditions: ['inputs.audit && "<x>" != ""'],
      concurrency: { group: 'db-dev', limit: 2 },
    });
    expect(description.phases[2]?.repeat).toEqual({ for: 'phases.a.outputs.parts', parallel: 4 });
    const text = planAsText(description);
    for (const line of [
      'priority 7',
      'whole runs: group all-dev, 1 at a time',
      'b: if inputs.audit && "<x>" != ""',
      'b: group db-dev, 2 at a time',
      'c: for each of phases.a.outputs.parts, 4 at a time',
    ])
      expect(text.split('\n')).toContain(line);
    expect(planAsMermaid(description)).toContain('if inputs.audit && #quot;#lt;x#gt;#quot; != #quot;#quot;');
  });

  it('stays as it is written before there are inputs', async () => {
    const plan = await planOf({ 'w.yaml': TEXT }, null);
    expect(plan.concurrency?.group).toBe('all-${{ inputs.env }}');
  });
});

describe('docs/workflow-file.md', async () => {
  const page = await readFile(packagePath('docs', 'workflow-file.md'), 'utf8');
  const examples = [...page.matchAll(/```yaml\n(.*?)```/gs)].map(([, text = '']) => text);
  const personas = await loadPersonas(packagePath('personas'));
  const inputs = ['audit', 'sizes', 'branch', 'environment', 'team'].map(
    (name) => `  ${name}: { type: ${name === 'audit' ? 'boolean' : 'string'} }\n`,
  );

  it.each(examples.map((text) => [text.split('\n').find((line) => /if:|foreach|group|workflow:/.test(line)), text]))(
    'shows an example that is valid: %s',
    (_line, text) => {
      const head = text.startsWith('apiVersion') ? '' : `apiVersion: maestro/v1\nname: w\ninputs:\n${inputs.join('')}`;
      const loaded = parseWorkflow({ file: 'example.yaml', text: `${head}${text}` });
      const metricNames = Object.keys(sources.policySet.metrics);
      const found = checkWorkflow({ ...loaded, personas, policyNames: [], metricNames }).map(({ message }) => message);
      // What personas need of each other is left out of examples that show something else.
      expect(found.filter((message) => !message.includes('which is no input of the workflow'))).toEqual([]);
    },
  );

  it('names every key of a workflow file, at any depth', () => {
    expect(undocumentedKeys(page, Workflow)).toEqual([]);
    const keys = [...Object.keys(Workflow.shape), ...Object.keys(Phase.shape)];
    expect(keys.filter((key) => !page.includes(`\`${key}\``))).toEqual([]);
  });
});
