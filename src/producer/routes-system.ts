import type { Response } from 'express';
import { z } from 'zod';
import { errorMessage } from '../shared/errors.ts';
import { RunId } from '../shared/names.ts';
import { BlobRef, RunStatus, TERMINAL_RUN } from '../shared/run-record.ts';
import { readModelLimits } from '../shared/model-limits.ts';
import { WorkerRegistry } from '../shared/worker-registry.ts';
import { workerLines } from './fleet-metrics.ts';
import { FleetStatus } from './fleet-schemas.ts';
import { readFleet } from './fleet-status.ts';
import { AuditEntry } from './audit.ts';
import { limitLines } from './limit-metrics.ts';
import { listDead } from './dead-letters.ts';
import type { FleetQueues } from './bull-board.ts';
import { DeadLetters, Health, Readiness } from './api-schemas.ts';
import { referencePage } from './reference-page.ts';
import { type Route, json, route, text } from './route.ts';
import type { ServerContext } from './server-context.ts';
import { streamLines } from './stream-metrics.ts';

/** A blob that need not exist: asking for it shows that the store answers. */
const NO_BLOB = BlobRef.parse('0'.repeat(64));

/** Liveness and readiness: they need no token, and tell nothing about runs. */
export const healthRoutes = ({ redis, blobs }: ServerContext): Route[] => [
  route({
    method: 'get',
    path: '/healthz',
    id: 'getHealth',
    summary: 'The process is alive',
    scope: 'open',
    answers: [json(200, 'It is', 'Health', Health)],
    handle: ({ res }) => res.json({ status: 'ok' }),
  }),
  route({
    method: 'get',
    path: '/readyz',
    id: 'getReadiness',
    summary: 'Redis and the blob store answer',
    scope: 'open',
    answers: [json(200, 'They do', 'Readiness', Readiness), json(503, 'One of them does not', 'Readiness', Readiness)],
    handle: async ({ logger, res }) => {
      const [redisCheck, blobCheck] = await Promise.all([check(() => redis.ping()), check(() => blobs.has(NO_BLOB))]);
      const isReady = redisCheck.ok && blobCheck.ok;
      res.status(isReady ? 200 : 503);
      if (!isReady) logger.warn({ redis: redisCheck.why, blobs: blobCheck.why }, 'not ready');
      // Nobody had to say who they are, so that why is in the log alone: it may hold addresses.
      const checks = { redis: plain(redisCheck), blobs: plain(blobCheck) };
      res.json({ status: isReady ? 'ready' : 'unavailable', checks });
    },
  }),
];

/** What other programs read about the service itself. */
export const systemRoutes = (context: ServerContext, queues: FleetQueues): Route[] => [
  route({
    method: 'get',
    path: '/api/dead',
    id: 'listDead',
    summary: 'Phases that failed for good, over all runs; resuming a run redrives it',
    scope: 'read',
    answers: [json(200, 'All of them', 'DeadLetters', DeadLetters)],
    handle: async ({ res }) => res.json({ dead: await listDead(context.store) }),
  }),
  route({
    method: 'get',
    path: '/api/fleet',
    id: 'getFleet',
    summary: 'Workers, queues, throughput, limits, spend and runs at a glance',
    scope: 'read',
    answers: [json(200, 'The fleet as it is now', 'FleetStatus', FleetStatus)],
    handle: async ({ res }) => res.json(await readFleet({ ...context, queues })),
  }),
  route({
    method: 'get',
    path: '/metrics',
    id: 'getMetrics',
    summary: 'Queue depths and run counts in Prometheus text format',
    scope: 'read',
    answers: [text(200, 'The metrics', 'text/plain')],
    handle: ({ res }) => sendMetrics(context, queues, res),
  }),
];

/** What was changed, for those who may do everything. */
export const auditRoute = ({ audit }: ServerContext): Route =>
  route({
    method: 'get',
    path: '/api/audit',
    id: 'listAudit',
    summary: 'Changes that were asked for, newest first: who, what, and how it ended',
    scope: 'admin',
    query: AuditQuery,
    answers: [json(200, 'One page', 'AuditPage', AuditPage)],
    handle: async ({ query: { limit, cursor, run, who }, res }) =>
      res.json(await audit.read({ limit, before: cursor, run, who })),
  });

const AuditQuery = z.strictObject({
  /** From `next` of the page before. */
  cursor: z
    .string()
    .regex(/^\d{1,15}-\d{1,15}$/, 'give the `next` of the page before')
    .optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
  /** Only changes of this run. */
  run: RunId.optional(),
  /** Only by the token of this name. */
  who: z.string().max(100).optional(),
});
const AuditPage = z.strictObject({ entries: z.array(AuditEntry), next: z.string().nullable() });

/** The document that describes all routes, itself among them. */
export const documentRoute = (document: () => unknown): Route =>
  route({
    method: 'get',
    path: '/openapi.json',
    id: 'getOpenApi',
    summary: 'This document',
    scope: 'read',
    answers: [json(200, 'OpenAPI 3.1', 'OpenApiDocument', OpenApiDocument)],
    handle: ({ res }) => res.json(document()),
  });

/** The same for people. */
export const referenceRoute = (document: () => unknown): Route =>
  route({
    method: 'get',
    path: '/docs',
    id: 'getReference',
    summary: 'This page',
    scope: 'read',
    answers: [text(200, 'A page that tells every operation', 'text/html')],
    handle: ({ res }) => res.type('html').send(referencePage(document())),
  });

const OpenApiDocument = z.looseObject({ openapi: z.string(), paths: z.looseObject({}) });

const READY_TIMEOUT_MS = 2_000;

interface Check {
  ok: boolean;
  why: string;
}
const plain = ({ ok }: Check): { ok: boolean; message: string } => ({
  ok,
  message: ok ? 'answers' : 'does not answer',
});

async function check(ask: () => Promise<unknown>): Promise<Check> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`no answer within ${READY_TIMEOUT_MS} ms`), READY_TIMEOUT_MS);
  });
  try {
    const problem = await Promise.race([ask().then(() => undefined), late]);
    return problem === undefined ? { ok: true, why: 'answers' } : { ok: false, why: problem };
  } catch (err) {
    return { ok: false, why: errorMessage(err) };
  } finally {
    clearTimeout(timer);
  }
}

/** Prometheus text: how deep the queues are, and how many runs stand where. */
async function sendMetrics(
  { store, redis, prefix, streams }: ServerContext,
  { queues }: FleetQueues,
  res: Response,
): Promise<void> {
  const [depths, runs, archived, limits, workers] = await Promise.all([
    Promise.all(queues.map(async (queue) => ({ queue: queue.name, counts: await queue.getJobCounts() }))),
    store.index.counts(),
    store.archive?.counts(),
    readModelLimits(redis, prefix),
    new WorkerRegistry(redis, prefix).list(),
  ]);
  const lines = [
    '# HELP maestro_queue_jobs Jobs in a queue, by state.',
    '# TYPE maestro_queue_jobs gauge',
    ...depths.flatMap(({ queue, counts }) =>
      Object.entries(counts).map(([state, count]) => `maestro_queue_jobs{queue="${queue}",state="${state}"} ${count}`),
    ),
    '# HELP maestro_runs Runs, by status; simulated and replayed ones are counted with the others.',
    '# TYPE maestro_runs gauge',
    ...RunStatus.options.map((status) => `maestro_runs{status="${status}"} ${runs[status]}`),
    '# HELP maestro_archived_runs Runs that have ended and left Redis, by how they ended; simulated and replayed ones too.',
    '# TYPE maestro_archived_runs gauge',
    ...TERMINAL_RUN.map((status) => `maestro_archived_runs{status="${status}"} ${archived?.[status] ?? 0}`),
    ...limitLines(limits),
    ...streamLines(streams),
    ...workerLines(workers),
  ];
  res.type('text/plain; version=0.0.4; charset=utf-8').send(`${lines.join('\n')}\n`);
}
