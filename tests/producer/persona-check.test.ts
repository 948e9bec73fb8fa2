import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { personaFileProblems } from '../../src/producer/persona-check.ts';
import { buildDefinitions, loadRunSources, shippedFolders } from '../../src/producer/definitions-builder.ts';
import { parseWorkflow } from '../../src/producer/workflow-file.ts';
import { formatProblem } from '../../src/shared/errors.ts';
import { PACKAGE_ROOT } from '../../src/shared/package-root.ts';
import { findPersona, parsePersona } from '../../src/shared/persona-files.ts';
import { tempFolder } from '../support/temp-folder.ts';

const shipped = await loadRunSources(shippedFolders(PACKAGE_ROOT));
const catalogue = Object.keys(shipped.policySet.artifacts);

const text = (name: string, more: string): string =>
  `apiVersion: maestro/v1\nname: ${name}\nrole: ${name}\ntools: [read_file]\nprompt: ${'p'.repeat(40)}\n${more}`;
const parse = (more: string) => parsePersona({ file: 'poet.yaml', text: text('poet', more) });
const problems = (more: string): string[] =>
  personaFileProblems(parse(more), shipped.personaFiles, catalogue).map(formatProblem);

describe('the personas that ship', () => {
  test('are right by themselves, beside each other and beside the policies', () => {
    const all = Object.values(shipped.personaFiles);
    expect(all).toHaveLength(15);
    expect(all.flatMap((file) => personaFileProblems(file, shipped.personaFiles, catalogue))).toEqual([]);
  });

  test('say of every deliverable of documents and tests what it must hold', () => {
    const silent = Object.values(shipped.personas).flatMap(({ name, deliverables }) =>
      Object.entries(deliverables).flatMap(([deliverable, { contains }]) =>
        contains === undefined ? [`${name}: ${deliverable}`] : [],
      ),
    );
    expect(silent).toEqual([
      'backend_developer: source_code',
      'frontend_developer: source_code',
      'solution_architect: project_skeleton',
      'technical_writer: documentation',
      'test_engineer: tests',
      'ui_ux_designer: wireframes',
    ]);
  });

  test('include everybody who has a contract in the policies', () => {
    const contracts = Object.keys(shipped.policySet.contracts?.personas ?? {});
    expect(contracts.length).toBeGreaterThan(0);
    expect(contracts.filter((name) => findPersona(shipped.personas, name) === undefined)).toEqual([]);
  });
});

describe('a persona file', () => {
  test('is refused, with its place and the nearest name, for a deliverable that no policy knows', () => {
    expect(problems('deliverables:\n  user_gide: { paths: [a.md] }\n')).toEqual([
      `poet.yaml:7:3: deliverables.user_gide: the policies' catalogue of artifacts has no "user_gide" (did you mean "user_guide"?)`,
    ]);
  });

  test('is refused for a need that is an artifact nobody makes, and for building against what nobody makes', () => {
    expect(problems('needs: [cost_analysis, prd_document, topic]\n')).toEqual([
      'poet.yaml:6:9: needs: no persona makes "cost_analysis"',
    ]);
    expect(problems('needs: [prd_documnt]\n')).toEqual([
      'poet.yaml:6:9: needs: no persona makes "prd_documnt" (did you mean "prd_document"?)',
    ]);
    expect(problems('needs: [topic, requirement]\nbuildsAgainst: []\n')).toEqual([]);
    expect(problems('needs: [api_specificatio]\nbuildsAgainst: [api_specificatio]\n')).toEqual([
      'poet.yaml:6:9: needs: no persona makes "api_specificatio" (did you mean "api_specification"?)',
      'poet.yaml:7:17: buildsAgainst: no persona makes "api_specificatio" (did you mean "api_specification"?)',
    ]);
  });

  test.each([
    ['needs: [a, a]', /6:12: needs\.1: "a" is named twice/],
    ['buildsAgainst: [a]', /6:17: buildsAgainst\.0: "a" is not among its needs/],
    ['kind: reviewer\ndeliverables: { readme: { paths: [a] } }', /7:15: deliverables: a reviewer hands on no files/],
    [
      'deliverables: { readme: { paths: [a], contains: { lines: [{ what: x, matching: "(" }] } } }',
      /not a regular expr/,
    ],
    ['timeout: soon', /6:10: timeout: write a duration/],
  ])('that says %s is refused with its place', (more, message) => {
    expect(() => parse(`${more}\n`)).toThrow(message);
  });

  test('gives a reviewer no tool that writes', () => {
    const reviewer = text('poet', 'kind: reviewer\n').replace('[read_file]', '[read_file, shell]');
    expect(() => parsePersona({ file: 'poet.yaml', text: reviewer })).toThrow(
      /poet\.yaml:4:20: tools\.1: a reviewer only reads: "shell" is not for it/,
    );
  });
});

describe('a folder of personas of one’s own', () => {
  const workflow = (persona: string) =>
    parseWorkflow({
      file: 'w.yaml',
      text: `apiVersion: maestro/v1\nname: w\nphases: { a: { persona: ${persona}, policy: none } }\n`,
    });
  const sourcesWith = async (files: Readonly<Record<string, string>>) => {
    const ownPersonas = await tempFolder();
    for (const [name, more] of Object.entries(files))
      await writeFile(join(ownPersonas, `${name}.yaml`), text(name, more));
    return loadRunSources({ ...shippedFolders(PACKAGE_ROOT), ownPersonas });
  };

  test('adds to the shipped ones, and takes the place of one of the same name', async () => {
    const sources = await sourcesWith({ poet: '', qa_engineer: '' });
    expect(Object.keys(sources.personas)).toHaveLength(16);
    expect(sources.personas['qa_engineer']?.deliverables).toEqual({});
    expect(Object.keys(buildDefinitions(workflow('poet'), sources).personas)).toContain('poet');
  });

  test('cannot take a name that a shipped persona answers to', async () => {
    await expect(sourcesWith({ database_specialist: '' })).rejects.toThrow(/is already a name of/);
  });

  test('is checked for the workflows that use it: a deliverable that no policy knows is named in its own file', async () => {
    const sources = await sourcesWith({ poet: 'deliverables: { verses: { paths: [a.md] } }\n' });
    expect(() => buildDefinitions(workflow('poet'), sources)).toThrow(/poet\.yaml:6:17: deliverables\.verses: /);
    expect(() => buildDefinitions(workflow('project_reviewer'), sources)).toThrow(/needs "prd_document"/);
  });
});
