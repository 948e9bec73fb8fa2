import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import { Queue } from 'bullmq';
import { type RequestHandler, Router } from 'express';
import { z } from 'zod';
import { QUEUES, personaQueue } from '../shared/names.ts';
import type { Redis } from '../shared/redis.ts';

export const BOARD_PATH = '/queues';
/** The most that the board's flow tree takes; its defaults cut off runs of more than a few phases. */
const FLOW_LIMITS = { depth: '20', maxChildren: '1000' };

export interface FleetQueues {
  queues: readonly Queue[];
  close(): Promise<void>;
}

/** Every queue of the fleet, for looking at. */
export function openQueues(redis: Redis, prefix: string, personas: readonly string[]): FleetQueues {
  const names = [...Object.values(QUEUES), ...personas.map(personaQueue)];
  const queues = names.map((name) => new Queue(name, { connection: redis, prefix }));
  // Without a listener a lost connection would end the process; /readyz tells of it.
  for (const queue of queues) queue.on('error', () => undefined);
  return {
    queues,
    close: async () => {
      await Promise.all(queues.map((queue) => queue.close()));
    },
  };
}

/** Bull Board over all queues, to be mounted at `BOARD_PATH`. */
export function boardRoutes({ queues }: FleetQueues): Router {
  const serverAdapter = new ExpressAdapter();
  serverAdapter.setBasePath(BOARD_PATH);
  const adapters = queues.map(
    (queue) =>
      new BullMQAdapter(queue, {
        delimiter: '.',
        externalJobUrl: ({ data }) => ({ displayText: 'Run', href: pageOf(data) }),
      }),
  );
  createBullBoard({
    queues: adapters,
    serverAdapter,
    options: {
      uiConfig: {
        boardTitle: 'Maestro Fleet',
        miscLinks: [{ text: 'Runs', url: '/' }],
        hideDocsLink: true,
        overview: { groupByDelimiter: true },
      },
    },
  });
  const router = Router();
  router.use(raiseFlowLimits);
  router.use(serverAdapter.getRouter());
  return router;
}

/** The page asks for no more than its defaults, so the limits are set where its question arrives. */
const raiseFlowLimits: RequestHandler = (req, _res, next) => {
  const url = new URL(req.url, 'http://localhost');
  if (url.pathname.endsWith('/flow')) {
    for (const [name, value] of Object.entries(FLOW_LIMITS))
      if (!url.searchParams.has(name)) url.searchParams.set(name, value);
    req.url = `${url.pathname}${url.search}`;
  }
  next();
};

const JobPlace = z.object({ runId: z.string(), phase: z.string().optional() });
/** Where the run viewer shows what a job is part of. */
function pageOf(data: unknown): string {
  const { runId, phase } = JobPlace.safeParse(data).data ?? {};
  if (runId === undefined) return '/';
  return `/#/runs/${runId}${phase === undefined ? '' : `/overview/${encodeURIComponent(phase)}`}`;
}
