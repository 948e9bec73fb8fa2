import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { PACKAGE_ROOT } from '../../src/shared/package-root.ts';
import { builtViewer } from '../support/built-viewer.ts';

const made: string[] = [];

const persona = (name: string, extra = ''): string =>
  `apiVersion: maestro/v1\nname: ${name}\nrole: ${name}\ntools: [read_file]\nprompt: A persona of the tests, which never talks to any model at all.\n${extra}`;

const PERSONAS: Record<string, string> = {
  analyst: persona(
    'analyst',
    'aliases: [ba]\nneeds: [requirement]\ndeliverables: { prd_document: { paths: [docs/prd.md] } }\n',
  ),
  architect: persona(
    'architect',
    'needs: [prd_document]\ndeliverables: { design_document: { paths: [docs/design.md] } }\n',
  ),
  coder: persona('coder', 'needs: [design_document]\ndeliverables: { source_code: { paths: ["src/**"] } }\n'),
  tester: persona('tester', 'needs: [source_code]\n'),
  idler: persona('idler'),
  phase_reviewer: persona('phase_reviewer', 'kind: reviewer\n'),
  security_specialist: persona('security_specialist', 'kind: reviewer\n'),
};

export const DIAMOND = `apiVersion: maestro/v1
name: diamond
description: a diamond
inputs: { requirement: { type: string, minLength: 10 }, audit: { type: boolean, default: false } }
phases:
  requirements: { persona: analyst }
  design: { needs: [requirements], persona: architect }
  backend: { needs: [design], persona: coder, policy: none }
  frontend: { needs: [design], persona: coder, policy: frontend }
  testing: { needs: [backend, frontend], persona: tester, policy: none, approval: { role: tech_lead } }
`;

/** A folder laid out like the package, with small personas and workflows, and the policies that ship. */
export async function fixtureRoot(workflows: Record<string, string> = { diamond: DIAMOND }): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'maestro-producer-'));
  made.push(root);
  for (const folder of ['personas', 'workflows', 'policies', 'config']) await mkdir(join(root, folder));
  await cp(join(PACKAGE_ROOT, 'policies', 'phase_slos.yaml'), join(root, 'policies', 'phase_slos.yaml'));
  await cp(join(PACKAGE_ROOT, 'config', 'models.yaml'), join(root, 'config', 'models.yaml'));
  await cp(await builtViewer(), join(root, 'dist', 'web'), { recursive: true });
  for (const [name, text] of Object.entries(PERSONAS)) await writeFile(join(root, 'personas', `${name}.yaml`), text);
  for (const [name, text] of Object.entries(workflows)) await writeFile(join(root, 'workflows', `${name}.yaml`), text);
  return root;
}

afterAll(async () => {
  for (const root of made.splice(0)) await rm(root, { recursive: true, force: true });
});
