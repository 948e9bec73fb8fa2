import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { getJson } from '../../src/shared/blob-store.ts';
import { RoundEvidence } from '../../src/shared/round-evidence.ts';
import { startSuppliedFleet } from '../support/supplied-fleet.ts';
import { testRedis } from '../support/test-redis.ts';
import { cleanEnv, run } from '../system/maestro.ts';
import { fullRecord } from './records.ts';
import { workflowText } from './workflow-text.ts';

test('the contract of a persona blocks work that the policy of the phase would let through, until it is mended', async () => {
  const fleet = await startSuppliedFleet(testRedis(), {
    // The policy of the phase only warns below 0.7, reads no complexity, and takes a build that succeeds in part.
    metrics: (phase, round) => ({
      ...fullRecord(phase),
      documentation_coverage: round === 0 ? 0.65 : 0.8,
      build_success_rate: 1,
      component_complexity: 6,
      security_scan_complete: 1,
    }),
    personas: { backend_developer: 'deliverables: { api_documentation: { paths: [docs/api.md] } }\n' },
    work: async ({ dir, round }) => {
      if (round === 0) return;
      await mkdir(join(dir, 'docs'), { recursive: true });
      await writeFile(join(dir, 'docs', 'api.md'), '# API\n');
    },
  });
  const ended = await fleet.run(
    workflowText({ implementation: [] }, { implementation: 'persona: backend_developer' }, 'rework: 1'),
  );
  expect(ended.run.status).toBe('passed');
  const rounds = ended.phases['implementation']?.rounds ?? [];
  expect(rounds.map(({ verdict }) => verdict.verdict)).toEqual(['blocked', 'passed']);

  const [first, last] = rounds;
  expect(first?.verdict.gates.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
  const broken = (first?.verdict.contracts ?? []).filter(({ outcome }) => outcome !== 'passed');
  expect(broken.map(({ persona, kind, name }) => [persona, kind, name])).toEqual([
    ['backend_developer', 'gate', 'documentation'],
    ['backend_developer', 'artifact', 'api_documentation'],
    ['backend_developer', 'deliverable', 'api_documentation'],
  ]);
  expect(last?.verdict.contracts?.map(({ outcome }) => outcome)).toEqual(Array.from({ length: 13 }, () => 'passed'));

  expect(first).toBeDefined();
  if (first === undefined) return;
  const evidence = await getJson(fleet.blobs, first.evidence, RoundEvidence);
  expect(evidence.measurements.map(({ metric }) => metric)).toContain('component_complexity');
  expect(evidence.work?.deliverables).toEqual([
    { persona: 'backend_developer', deliverable: 'api_documentation', paths: ['docs/api.md'], files: 0 },
  ]);

  const page = join(fleet.home, 'report.html');
  const env = cleanEnv({ REDIS_URL: fleet.at.url, MAESTRO_PREFIX: fleet.at.prefix, MAESTRO_HOME: fleet.home });
  expect(await run(['report', ended.run.runId, '--html', page], env, fleet.home)).toMatchObject({ exit: 0 });
  expect(await readFile(page, 'utf8')).toMatch(
    /backend_developer\.documentation<[^]*documentation_coverage 0\.65, required &gt;= 0\.7/,
  );
});

test('what an earlier phase left is no work of a persona that only hands it on; its own earlier rounds are', async () => {
  const tests = 'deliverables: { unit_tests: { paths: ["tests/unit/**"] } }\n';
  const fleet = await startSuppliedFleet(testRedis(), {
    metrics: (phase, round) => ({
      ...fullRecord('custom_component'),
      ...(phase === 'own' && round === 0 ? { build_success_rate: 0 } : {}),
    }),
    personas: { architect: '', builder: tests, reviser: `needs: [unit_tests]\n${tests}` },
    work: async ({ dir, phase, persona, round }) => {
      const isWriter = phase === 'skeleton' || (phase === 'own' && round === 0);
      if (!isWriter) return;
      await mkdir(join(dir, 'tests/unit'), { recursive: true });
      await writeFile(join(dir, `tests/unit/${phase}.test.js`), `// ${persona}\n`);
    },
  });
  const policy = 'policy: custom_component';
  const ended = await fleet.run(
    workflowText(
      { skeleton: [], idle: ['skeleton'], own: ['skeleton'], again: ['own'], revised: ['own'] },
      {
        skeleton: 'persona: architect, policy: none',
        idle: `persona: builder, ${policy}`,
        own: `persona: builder, ${policy}, rework: 1`,
        again: `persona: builder, ${policy}`,
        revised: `persona: reviser, ${policy}`,
      },
      'rework: 0',
    ),
  );
  const outcome = (phase: string) =>
    ended.phases[phase]?.rounds.map(
      ({ verdict }) => verdict.contracts?.find(({ name }) => name === 'unit_tests')?.message,
    );
  expect(outcome('idle')).toEqual([
    'handed on as it was found: this phase changed no file of it, and this persona none before',
  ]);
  expect(ended.phases['idle']?.status).toBe('blocked');
  expect(outcome('own')).toEqual(['2 files', '2 files']);
  expect(outcome('again')).toEqual(['2 files']);
  expect(outcome('revised')).toEqual(['2 files']);
});
