import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { getJson } from '../../src/shared/blob-store.ts';
import { RoundEvidence } from '../../src/shared/round-evidence.ts';
import { openWorkspace } from '../../src/shared/workspace.ts';
import { startFleetOf } from '../support/gate-fleet.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';

type GateFleet = Awaited<ReturnType<typeof startFleetOf>>;
const UNGATED = { policy: null, approvalRoles: [] };

/** How the run ended: the rounds of the phase, what was found in each, its files, and what the log tells of shared files. */
async function ended(fleet: GateFleet, plan: Awaited<ReturnType<GateFleet['start']>>) {
  await fleet.ended(plan);
  const { commit, bundle, rounds, status } = await fleet.phaseOf(plan);
  const evidence = await Promise.all(rounds.map((round) => getJson(fleet.blobs, round.evidence, RoundEvidence)));
  const events = await fleet.store.readEvents(plan.runId, 0);
  const dir = await tempFolder();
  if (commit !== null && bundle !== null)
    await openWorkspace({ dir, blobs: fleet.blobs, sources: [{ label: 'end', commit, bundle }] });
  return {
    status,
    rounds,
    findings: evidence.map((round) => round.findings.filter(({ rule }) => rule.startsWith('merge/'))),
    shared: events.flatMap((event) => (event.type === 'files.shared' ? event.files : [])),
    read: (name: string) => readFile(join(dir, 'tree', name), 'utf8'),
  };
}

test('a file that two personas changed differently is for one of them to resolve, and no work is lost', async () => {
  const seen: Record<string, string> = {};
  const fleet = await startFleetOf(testRedis(), async (tree, round, persona) => {
    const file = join(tree, 'same.md');
    if (round === 0) {
      await writeFile(join(tree, `of-${persona}.md`), 'mine alone\n');
      await writeFile(file, `by ${persona}\n`);
      return;
    }
    seen[persona] = await readFile(file, 'utf8');
    if (persona === 'other') await writeFile(file, seen[persona].replaceAll(/^(<{7}|={7}|>{7}).*\n/gm, ''));
  });
  const plan = await fleet.start({ ...UNGATED, personas: ['noop', 'other'], rework: 1 }, true);
  const { rounds, findings, shared, read } = await ended(fleet, plan);
  expect(rounds.map(({ verdict }) => verdict.verdict)).toEqual(['blocked', 'not_gated']);
  expect(findings[0]).toMatchObject([{ rule: 'merge/conflict', severity: 'error', file: 'same.md', persona: 'other' }]);
  expect(findings[0]?.[0]?.message).toMatch(/changed by requirements\/noop and requirements\/other/);
  expect(seen['noop']).toMatch(/^<{7} [^]*by noop[^]*by other[^]*^>{7} /m);
  expect(shared).toMatchObject([{ file: 'same.md', merged: false }]);
  expect(await read('same.md')).toBe('by noop\nby other\n');
  expect([await read('of-noop.md'), await read('of-other.md')]).toEqual(['mine alone\n', 'mine alone\n']);
});

test('a file that two personas changed in different places is named with both, and what is judged is the merged one', async () => {
  const lines = Array.from({ length: 40 }, (_, index) => `line ${index}`);
  const fleet = await startFleetOf(testRedis(), async (tree, _round, persona, phase) => {
    const changed = lines.with(persona === 'noop' ? 1 : 38, `by ${persona}`);
    await writeFile(join(tree, 'same.md'), `${(phase === 'before' ? lines : changed).join('\n')}\n`);
    await writeFile(join(tree, `alone-${persona}.md`), 'mine\n');
  });
  const plan = await fleet.start({ ...UNGATED, needs: ['before'], personas: ['noop', 'other'] }, true, {
    before: { ...UNGATED, needs: [], personas: ['third'] },
  });
  const { status, rounds, findings, shared, read } = await ended(fleet, plan);
  expect(status).toBe('not_gated');
  expect(findings).toMatchObject([[{ rule: 'merge/same-file', severity: 'warning', file: 'same.md' }]]);
  expect(findings[0]?.[0]?.message).toMatch(/changed by requirements\/noop and requirements\/other at the same time/);
  expect(shared).toMatchObject([{ file: 'same.md', merged: true }]);
  expect(await read('same.md')).toMatch(/^by noop$[^]*^by other$/m);
  expect(rounds[0]?.candidate?.commit).toBe((await fleet.phaseOf(plan)).commit);
});
