import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { getJson } from '../../src/shared/blob-store.ts';
import { RoundEvidence } from '../../src/shared/round-evidence.ts';
import { startFleetOf } from '../support/gate-fleet.ts';
import { PHASE, RUN_CHECKS, check, overlayOf, policyOf, write } from '../support/small-project.ts';
import { testRedis } from '../support/test-redis.ts';

test('findings of a run are addressed to the persona who wrote the file last, and to nobody without one', async () => {
  const wrong = check(1, 1, 3);
  const fleet = await startFleetOf(testRedis(), async (tree, round, persona, phase) => {
    if (phase === 'before') {
      await write(tree, { 'src/add.sh': 'echo $(( $1 + $2 ))\n', 'checks/old.sh': wrong, 'checks/taken.sh': wrong });
      return;
    }
    await write(tree, { [`docs/${persona}-${round}.md`]: 'text\n' });
    if (persona === 'noop') await write(tree, { 'checks/of-noop.sh': wrong });
    if (persona === 'other') {
      await write(tree, { 'checks/of-other.sh': wrong, 'checks/taken.sh': `${wrong}# seen\n` });
      if (round === 1) await rm(join(tree, 'checks/of-other.sh'));
    }
  });
  const policies = [
    policyOf({ tests_pass: 'test_pass_rate >= 1' }),
    overlayOf(['sh', '-c', RUN_CHECKS, 'sh', '{out}/junit.xml']),
  ];
  const plan = await fleet.start(
    { ...PHASE, needs: ['before'], personas: ['noop', 'other'], rework: 1 },
    true,
    { before: { policy: null, personas: ['third'], needs: [] } },
    { policies },
  );
  await fleet.ended(plan);
  const { rounds } = await fleet.phaseOf(plan);
  const addressed = await Promise.all(
    rounds.map(async ({ evidence }) => {
      const { findings } = await getJson(fleet.blobs, evidence, RoundEvidence);
      return findings
        .filter(({ rule }) => rule === 'tests/failed')
        .map(({ file, persona }) => `${file} for ${persona}`)
        .toSorted();
    }),
  );
  const [before, kept, taken] = ['checks/old.sh for third', 'checks/of-noop.sh for noop', 'checks/taken.sh for other'];
  expect(addressed).toEqual([
    [kept, 'checks/of-other.sh for other', before, taken],
    [kept, before, taken],
  ]);
});
