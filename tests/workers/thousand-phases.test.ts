import { once } from 'node:events';
import { type FlowJob, Queue } from 'bullmq';
import express from 'express';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { BOARD_PATH, boardRoutes, openQueues } from '../../src/producer/bull-board.ts';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { buildFlow, countJobs, firstTake } from '../../src/producer/flow.ts';
import { QUEUES, jobIds, personaQueue } from '../../src/shared/names.ts';
import { TERMINAL_RUN } from '../../src/shared/run-record.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { noopPlan, startNoopFleet } from '../support/noop-fleet.ts';
import { randomSource } from '../support/random-dag.ts';
import { type TestRedis, testRedis } from '../support/test-redis.ts';

const SIZE = 1_000;
const LONG = { timeout: 180_000 };
const names = Array.from({ length: SIZE }, (_, index) => `p${index}`);
type Shape = Record<string, string[]>;

function randomShape(): Shape {
  const random = randomSource(11);
  return Object.fromEntries(
    names.map((name, index) => {
      const earlier = names.slice(Math.max(0, index - 40), index);
      return [name, earlier.filter(() => random() < 0.05)];
    }),
  );
}

const SHAPES: [string, Shape][] = [
  ['a chain', Object.fromEntries(names.map((name, index) => [name, index === 0 ? [] : [`p${index - 1}`]]))],
  ['a fan-out to 999', Object.fromEntries(names.map((name, index) => [name, index === 0 ? [] : ['p0']]))],
  ['a random DAG', randomShape()],
];

/** How many jobs there are in all queues together. */
async function countAll(at: TestRedis): Promise<number> {
  const connection = await at.connect();
  let count = 0;
  for (const name of [...Object.values(QUEUES), personaQueue('noop')]) {
    const queue = new Queue(name, { connection, prefix: at.prefix });
    const counts = await queue.getJobCounts();
    count += Object.values(counts).reduce((sum, each) => sum + each, 0);
    await queue.close();
  }
  return count;
}

/** Bytes of the largest data of any job: Redis holds references, however many jobs wait for one. */
const largestData = ({ data, children = [] }: FlowJob): number =>
  Math.max(Buffer.byteLength(JSON.stringify(data)), ...children.map(largestData));

test.each(SHAPES)(
  '%s of 1,000 phases is added at once, a second time adds nothing, and all of it is done',
  LONG,
  async (_, shape) => {
    const at = testRedis();
    const redis = await at.connect();
    const plan = noopPlan(shape);
    const behaviour = { concurrency: 50 };
    const flow = buildFlow(plan, firstTake(plan));
    const jobs = countJobs(flow);
    expect(largestData(flow)).toBeLessThan(1_000);
    const store = new RunStore(redis, at.prefix);
    const target = { redis, prefix: at.prefix, store };
    await enqueueRun(target, plan);
    expect(await countAll(at)).toBe(jobs);
    await enqueueRun(target, plan);
    expect(await countAll(at)).toBe(jobs);

    const began = new Map<string, number>();
    const ended = new Set<string>();
    const tooEarly: string[] = [];
    const { fleet } = await startNoopFleet(at, {
      ...behaviour,
      work: (phase) => {
        began.set(phase, (began.get(phase) ?? 0) + 1);
        for (const need of shape[phase] ?? []) if (!ended.has(need)) tooEarly.push(`${phase} before ${need}`);
      },
      verdictOf: (_runId, phase) => {
        ended.add(phase);
        return 'passed';
      },
    });
    try {
      await expect
        .poll(async () => TERMINAL_RUN.includes((await store.getStanding(plan.runId))?.status ?? 'queued'), {
          timeout: 150_000,
          interval: 200,
        })
        .toBe(true);
    } finally {
      await fleet.close(5_000);
    }
    expect((await store.getRun(plan.runId)).status).toBe('passed');
    expect(tooEarly).toEqual([]);
    expect(began.size).toBe(SIZE);
    expect([...began.values()].every((times) => times === 1)).toBe(true);
  },
);

interface TreeNode {
  name: string;
  truncated: boolean;
  children: TreeNode[];
}
const Node: z.ZodType<TreeNode> = z.lazy(() =>
  z.looseObject({
    name: z.string(),
    truncated: z.boolean().default(false),
    children: z.array(Node).default([]),
  }),
);
const Answer = z.looseObject({ flowRoot: Node });
const all = (node: TreeNode): TreeNode[] => [node, ...node.children.flatMap(all)];

/** What Bull Board shows of a run's flow. */
async function shownBy(plan: ReturnType<typeof noopPlan>): Promise<TreeNode[]> {
  const at = testRedis();
  const redis = await at.connect();
  await enqueueRun({ redis, prefix: at.prefix, store: new RunStore(redis, at.prefix) }, plan);
  const queues = openQueues(redis, at.prefix, ['noop']);
  const server = express().use(BOARD_PATH, boardRoutes(queues)).listen(0, '127.0.0.1');
  onTestFinished(async () => {
    server.close();
    await queues.close();
  });
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const job = jobIds.run({ runId: plan.runId, generation: 0 });
  const answer = await fetch(`http://127.0.0.1:${port}${BOARD_PATH}/api/queues/${QUEUES.runs}/${job}/flow`);
  return all(Answer.parse(await answer.json()).flowRoot);
}
const gatesIn = (nodes: readonly TreeNode[]): number =>
  new Set(nodes.map((node) => node.name).filter((name) => name.includes(' gate'))).size;

test('Bull Board shows every phase of a chain of 40, with the edges between its parts', LONG, async () => {
  const chain = Object.fromEntries(
    names.slice(0, 40).map((name, index) => [name, index === 0 ? [] : [`p${index - 1}`]]),
  );
  const plan = noopPlan(chain);
  const nodes = await shownBy(plan);
  expect(nodes).toHaveLength(countJobs(buildFlow(plan, firstTake(plan))));
  expect(gatesIn(nodes)).toBe(40);
  expect(nodes.filter((node) => node.truncated)).toEqual([]);
});

test('Bull Board opens a run of 1,000 phases, and marks where it shows no more', LONG, async () => {
  const nodes = await shownBy(noopPlan(SHAPES[1]?.[1] ?? {}));
  expect(nodes.length).toBeGreaterThan(100);
  expect(nodes.some((node) => node.truncated)).toBe(true);
});
