import { expect, test } from 'vitest';
import { answerQuestion } from '../../src/producer/answer-question.ts';
import { put } from '../../src/shared/question.ts';
import { runKey } from '../../src/shared/run-keys.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { movePhase, moveRun } from '../../src/shared/transitions.ts';
import { noopPlan } from '../support/noop-fleet.ts';
import { testRedis } from '../support/test-redis.ts';

const at = testRedis();

test('a run that another version stored is named, and the others are listed all the same', async () => {
  const redis = await at.connect();
  const store = new RunStore(redis, at.prefix);
  const [first, second] = [noopPlan({ a: [] }), noopPlan({ a: [] })];
  await store.createRun(first);
  await store.createRun(second);
  await redis.hset(`${at.prefix}:maestro:run:${first.runId}`, 'run', '{"from":"the future"}');
  const { runs, unreadable } = await store.listRuns({ limit: 10 });
  expect(runs.map((run) => run.runId)).toEqual([second.runId]);
  expect(unreadable).toEqual([first.runId]);
});

test('a run ends once, whoever ends it, and stays as it ended', async () => {
  const redis = await at.connect();
  const store = new RunStore(redis, at.prefix);
  const plan = noopPlan({ a: [] });
  await store.createRun(plan);
  const ends = (['passed', 'blocked', 'failed', 'cancelled'] as const).map((status) =>
    moveRun(store, plan.runId, status),
  );
  expect((await Promise.all(ends)).filter(Boolean)).toHaveLength(1);
  const finished = (await store.readEvents(plan.runId, 0)).filter((event) => event.type === 'run.finished');
  expect(finished).toHaveLength(1);
  expect(await moveRun(store, plan.runId, 'running')).toBe(false);
});

test('events are numbered without gaps, however many write at once', async () => {
  const redis = await at.connect();
  const store = new RunStore(redis, at.prefix);
  const plan = noopPlan({ a: [] });
  await store.createRun(plan);
  const event = { type: 'run.status', status: 'running', reason: '' } as const;
  await Promise.all(Array.from({ length: 50 }, () => store.append(plan.runId, [event, event])));
  const seqs = (await store.readEvents(plan.runId, 0)).map(({ seq }) => seq);
  expect(seqs).toEqual(Array.from({ length: 101 }, (_, index) => index + 1));
  expect((await store.readEvents(plan.runId, 99)).map(({ seq }) => seq)).toEqual([100, 101]);
});

test('a record that another process changed is changed from where it stands now', async () => {
  const [one, other] = [new RunStore(await at.connect(), at.prefix), new RunStore(await at.connect(), at.prefix)];
  const plan = noopPlan({ a: [] });
  await one.createRun(plan);
  await movePhase(one, plan.runId, 'a', 'running');
  await movePhase(other, plan.runId, 'a', 'running', { change: (record) => ({ ...record, round: 3 }) });
  await movePhase(one, plan.runId, 'a', 'running', { change: (record) => ({ ...record, commit: 'c0ffee' }) });
  expect(await one.getPhase(plan.runId, 'a')).toMatchObject({ round: 3, commit: 'c0ffee' });
  await movePhase(other, plan.runId, 'a', 'passed');
  expect(await movePhase(one, plan.runId, 'a', 'blocked')).toBe(false);
  expect(await one.getPhase(plan.runId, 'a')).toMatchObject({ status: 'passed' });
});

const QUESTION = { id: 'q_0123456789abcdef', phase: 'a', persona: 'noop', round: 0, question: 'Which?' };

/** A phase that waits for the answer to a question. */
async function asked() {
  const redis = await at.connect();
  const store = new RunStore(redis, at.prefix);
  const { runId } = await started(store, { a: [] });
  const { question } = put(QUESTION);
  await movePhase(store, runId, 'a', 'awaiting_approval', { asking: () => ({ questions: [question], events: [] }) });
  return { redis, store, runId, question };
}

async function started(store: RunStore, shape: Record<string, string[]>) {
  const plan = noopPlan(shape);
  await store.createRun(plan);
  await moveRun(store, plan.runId, 'running');
  for (const phase of Object.keys(shape)) await movePhase(store, plan.runId, phase, 'running');
  return plan;
}

test('a question that is answered while its phase ends is answered, and not withdrawn', async () => {
  const { redis, store, runId, question } = await asked();
  const answer = { by: 'Ada', text: 'this', at: question.askedAt, simulated: false };
  const answered = { ...question, answer };
  await movePhase(store, runId, 'a', 'failed', {
    // The end has been decided on and is not written yet.
    change: (record) => {
      void redis.hset(runKey(at.prefix, runId, 'questions'), question.id, JSON.stringify(answered));
      return record;
    },
  });
  expect(await store.getQuestions(runId)).toEqual([answered]);
});

test('a question whose phase ends while it is answered is withdrawn, and its answer refused', async () => {
  const { redis, store, runId, question } = await asked();
  const stale = await store.getQuestions(runId);
  await movePhase(store, runId, 'a', 'failed', { reason: 'lost' });
  const late = new RunStore(redis, at.prefix);
  late.getQuestions = () => Promise.resolve(stale);
  await expect(
    answerQuestion({ redis, prefix: at.prefix, store: late }, runId, { id: question.id, by: 'Ada', text: 'this' }),
  ).rejects.toThrow('was withdrawn');
  expect(await store.getQuestions(runId)).toMatchObject([
    { answer: null, withdrawn: { reason: 'its phase is failed: lost' } },
  ]);
});

test('a run waits for a person while one of its phases does, and no longer, whoever moves at the same time', async () => {
  const redis = await at.connect();
  const store = new RunStore(redis, at.prefix);
  const { runId } = await started(store, { a: [], b: [], c: [], d: [] });
  const status = async () => (await store.getRun(runId)).status;
  for (const phase of ['a', 'b']) await movePhase(store, runId, phase, 'awaiting_approval');
  await movePhase(store, runId, 'c', 'passed');
  await movePhase(store, runId, 'a', 'running');
  expect(await status()).toBe('awaiting_approval');
  await movePhase(store, runId, 'b', 'failed', { reason: 'lost' });
  expect(await status()).toBe('running');

  await movePhase(store, runId, 'a', 'awaiting_approval');
  const late = new RunStore(redis, at.prefix);
  const meanwhile = ['d'];
  late.getPhases = async () => {
    const seen = await store.getPhases(runId);
    // Another phase begins to wait just after this one has looked.
    for (const phase of meanwhile.splice(0)) await movePhase(store, runId, phase, 'awaiting_approval');
    return seen;
  };
  await movePhase(late, runId, 'a', 'running');
  expect(await status()).toBe('awaiting_approval');
});
