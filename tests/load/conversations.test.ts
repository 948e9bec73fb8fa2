import { expect, inject, test } from 'vitest';
import { cleanEnv } from '../system/maestro.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { loadConversations } from './load.ts';

const CONVERSATIONS = 30;

test('thirty conversations in one worker process all end, and none waits for another one to end', async () => {
  const { prefix } = testRedis();
  const report = await loadConversations({
    conversations: CONVERSATIONS,
    // Long enough for every conversation to begin meanwhile: one that is held up by the others is seen by its place.
    delayMs: 2_000,
    redisUrl: inject('redisUrl'),
    prefix,
    home: await tempFolder(),
    command: 'ls -R .',
    limitMs: 100_000,
    env: cleanEnv(),
  });
  // Their phase has no gates, which no run is green for.
  expect(report.talks.map(({ status, turns, faults }) => ({ status, turns, faults }))).toEqual(
    Array.from({ length: CONVERSATIONS }, () => ({ status: 'passed_with_warnings', turns: 4, faults: 0 })),
  );
  // Every answer was paid for once.
  expect(report.calls).toBe(4 * CONVERSATIONS);
  expect(Math.max(...report.samples.map(({ conversations }) => conversations))).toBe(CONVERSATIONS);
  const firstEnd = Math.min(...report.talks.map(({ endedAtMs }) => endedAtMs));
  for (const { firstTurnAtMs } of report.talks) expect(firstTurnAtMs).toBeLessThan(firstEnd);
  // Processor time, which other load on the machine does not add to. Work of 60 ms in every turn adds seconds.
  expect(report.loopBusy.held).toBeLessThan(1);
  expect(report.exit).toBe(0);
}, 150_000);
