import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Web, findNeeds, owedBy, owedFindings } from '../../src/gates/contracts/edges.ts';
import { Handoff } from '../../src/shared/handoff.ts';
import { Persona } from '../../src/shared/persona-schema.ts';
import { PlannedPhase } from '../../src/shared/run-record.ts';
import { tempFolder } from '../support/temp-folder.ts';

const persona = (name: string, more: object): Persona =>
  Persona.parse({ apiVersion: 'maestro/v1', name, role: name, tools: [], prompt: 'p'.repeat(40), ...more });

const API = { paths: ['docs/openapi.yaml'], contains: { lines: [{ what: 'operations', matching: 'operationId' }] } };
const personas = {
  analyst: persona('analyst', { needs: ['requirement'], deliverables: { prd: { paths: ['docs/prd.md'] } } }),
  architect: persona('architect', { needs: ['prd'], deliverables: { api: API } }),
  backend: persona('backend', { needs: ['prd', 'api'], buildsAgainst: ['api'] }),
  tester: persona('tester', { needs: ['prd'] }),
};

const phase = (name: string, author: string, needs: string[]): PlannedPhase =>
  PlannedPhase.parse({
    name,
    needs,
    personas: [author],
    policy: null,
    policyFallback: false,
    approvalRole: null,
    approvalRoles: [],
    model: 'm',
    attempts: 1,
    rework: 0,
    timeoutMs: 1_000,
    description: '',
  });

const web = (): Web => ({
  personas,
  phases: [
    phase('requirements', 'analyst', []),
    phase('design', 'architect', ['requirements']),
    phase('service', 'backend', ['design']),
    phase('tests', 'tester', ['requirements']),
  ],
});

const phaseOf = ({ phases }: Web, name: string) => {
  const found = phases.find((each) => each.name === name);
  if (found === undefined) throw new Error('no such phase');
  return found;
};

async function folder(files: Readonly<Record<string, string>>): Promise<string> {
  const root = await tempFolder();
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), text);
  }
  return root;
}
const handoff = (contracts: object[] = []) => [
  { persona: 'architect', handoff: Handoff.parse({ summary: 's', contracts }) },
];

describe('what a phase owes the phases after it', () => {
  test('is what their personas need of it, directly or through other phases, and nothing else', () => {
    const all = web();
    expect(owedBy(all, phaseOf(all, 'requirements'))).toMatchObject([
      { need: 'prd', by: ['design (architect)', 'service (backend)', 'tests (tester)'], asContract: false },
    ]);
    expect(owedBy(all, phaseOf(all, 'design'))).toMatchObject([
      { need: 'api', by: ['service (backend)'], asContract: true },
    ]);
    expect(owedBy(all, phaseOf(all, 'service'))).toEqual([]);
  });

  const owed = () => owedBy(web(), phaseOf(web(), 'design'));

  test.each([
    ['is not there', {}, /api is needed by service \(backend\), but no file docs\/openapi\.yaml/],
    ['holds less than it must', { 'docs/openapi.yaml': 'openapi: 3.1.0\n' }, /0 operations, at least 1 needed/],
  ])('is a finding for its maker, who is told who needs it, when it %s', async (_, files, message) => {
    const findings = await owedFindings(await folder(files), owed());
    expect(findings).toMatchObject([{ rule: 'handoff/need', severity: 'error', persona: 'architect' }]);
    expect(findings[0]?.message).toMatch(message);
  });

  test('is handed off as a contract when somebody builds against it', async () => {
    const root = await folder({ 'docs/openapi.yaml': 'operationId: a\n', 'docs/other.md': 'x' });
    const contract = { name: 'api', kind: 'api', file: 'docs/openapi.yaml' };
    expect(await owedFindings(root, owed(), handoff([contract]))).toEqual([]);
    expect(await owedFindings(root, owed())).toEqual([]);
    const elsewhere = await owedFindings(root, owed(), handoff([{ ...contract, file: 'docs/other.md' }]));
    expect(elsewhere).toMatchObject([{ rule: 'handoff/contract', persona: 'architect' }]);
    expect(elsewhere[0]?.message).toMatch(/service \(backend\) build against api, but no contract/);
  });
});

describe('what a persona needs', () => {
  const needsOf = async (files: Readonly<Record<string, string>>, inputs = {}) =>
    findNeeds(await folder(files), web(), {
      phase: phaseOf(web(), 'service'),
      persona: 'backend',
      inputs,
      artifacts: {},
    });

  test('is looked for in the files it begins with, under the paths of the persona that makes it', async () => {
    expect(await needsOf({ 'docs/prd.md': 'x', 'docs/openapi.yaml': 'x' })).toEqual({
      met: [
        { need: 'prd', paths: ['docs/prd.md'], from: 'requirements (analyst)' },
        { need: 'api', paths: ['docs/openapi.yaml'], from: 'design (architect)' },
      ],
      unmet: [],
    });
  });

  test('and is not there is named, with where it was looked for and who should have made it', async () => {
    const { unmet } = await needsOf({ 'docs/prd.md': 'x', 'docs/openapi.json': '{}' });
    expect(unmet).toEqual(['api is not there: no file docs/openapi.yaml, from design (architect)']);
  });

  test('may be an input of the run', async () => {
    const { met, unmet } = await needsOf({ 'docs/prd.md': 'x' }, { api: 'as text' });
    expect(unmet).toEqual([]);
    expect(met).toContainEqual({ need: 'api', paths: [], from: 'input of the run' });
  });
});
