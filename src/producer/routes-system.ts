import { type Response, Router } from 'express';
import { errorMessage } from '../shared/errors.ts';
import { BlobRef, RunStatus, TERMINAL_RUN } from '../shared/run-record.ts';
import { readModelLimits } from '../shared/model-limits.ts';
import { limitLines } from './limit-metrics.ts';
import { listDead } from './dead-letters.ts';
import type { FleetQueues } from './bull-board.ts';
import { openApiDocument } from './openapi.ts';
import { methodNotAllowed } from './problem.ts';
import type { ServerContext } from './server-context.ts';

/** A blob that need not exist: asking for it shows that the store answers. */
const NO_BLOB = BlobRef.parse('0'.repeat(64));

/** Liveness and readiness: they need no token, and tell nothing about runs. */
export function healthRoutes({ redis, blobs }: ServerContext): Router {
  const router = Router();
  router
    .route('/healthz')
    .get((_req, res) => {
      res.json({ status: 'ok' });
    })
    .all(methodNotAllowed(['GET']));
  router
    .route('/readyz')
    .get(async (_req, res) => {
      const [redisCheck, blobCheck] = await Promise.all([check(() => redis.ping()), check(() => blobs.has(NO_BLOB))]);
      const isReady = redisCheck.ok && blobCheck.ok;
      res.status(isReady ? 200 : 503);
      res.json({ status: isReady ? 'ready' : 'unavailable', checks: { redis: redisCheck, blobs: blobCheck } });
    })
    .all(methodNotAllowed(['GET']));
  return router;
}

/** What other programs read about the service itself. */
export function systemRoutes(context: ServerContext, queues: FleetQueues): Router {
  const router = Router();
  router
    .route('/api/dead')
    .get(async (_req, res) => {
      res.json({ dead: await listDead(context.store) });
    })
    .all(methodNotAllowed(['GET']));
  router
    .route('/metrics')
    .get(async (_req, res) => sendMetrics(context, queues, res))
    .all(methodNotAllowed(['GET']));
  router
    .route('/openapi.json')
    .get((_req, res) => {
      res.json(openApiDocument());
    })
    .all(methodNotAllowed(['GET']));
  return router;
}

const READY_TIMEOUT_MS = 2_000;

async function check(ask: () => Promise<unknown>): Promise<{ ok: boolean; message: string }> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`no answer within ${READY_TIMEOUT_MS} ms`), READY_TIMEOUT_MS);
  });
  try {
    const problem = await Promise.race([ask().then(() => undefined), late]);
    return problem === undefined ? { ok: true, message: 'answers' } : { ok: false, message: problem };
  } catch (err) {
    return { ok: false, message: errorMessage(err) };
  } finally {
    clearTimeout(timer);
  }
}

/** Prometheus text: how deep the queues are, and how many runs stand where. */
async function sendMetrics(
  { store, redis, prefix }: ServerContext,
  { queues }: FleetQueues,
  res: Response,
): Promise<void> {
  const [depths, runs, archived, limits] = await Promise.all([
    Promise.all(queues.map(async (queue) => ({ queue: queue.name, counts: await queue.getJobCounts() }))),
    store.index.counts(),
    store.archive?.counts(),
    readModelLimits(redis, prefix),
  ]);
  const lines = [
    '# HELP maestro_queue_jobs Jobs in a queue, by state.',
    '# TYPE maestro_queue_jobs gauge',
    ...depths.flatMap(({ queue, counts }) =>
      Object.entries(counts).map(([state, count]) => `maestro_queue_jobs{queue="${queue}",state="${state}"} ${count}`),
    ),
    '# HELP maestro_runs Runs, by status.',
    '# TYPE maestro_runs gauge',
    ...RunStatus.options.map((status) => `maestro_runs{status="${status}"} ${runs[status]}`),
    '# HELP maestro_archived_runs Runs that have ended and left Redis, by how they ended.',
    '# TYPE maestro_archived_runs gauge',
    ...TERMINAL_RUN.map((status) => `maestro_archived_runs{status="${status}"} ${archived?.[status] ?? 0}`),
    ...limitLines(limits),
  ];
  res.type('text/plain; version=0.0.4; charset=utf-8').send(`${lines.join('\n')}\n`);
}
