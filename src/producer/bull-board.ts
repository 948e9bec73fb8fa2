import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import { Queue } from 'bullmq';
import { type RequestHandler, Router } from 'express';
import { z } from 'zod';
import { QUEUES, personaQueue } from '../shared/names.ts';
import type { Redis } from '../shared/redis.ts';
import { mayDo, principalOf } from './principal.ts';

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

/** What the jobs of each queue do. */
const DESCRIPTIONS: Readonly<Record<string, string>> = {
  [QUEUES.runs]: 'One job for each run: the root of its flow, which ends the run.',
  [QUEUES.gates]: 'One job for each phase: measures what its personas made, and decides.',
  [QUEUES.edges]: 'Links between phases that have several dependents: fan jobs wake the edges that wait.',
  [QUEUES.approvals]: 'One job for each decision that is waited for; it holds no worker.',
  [QUEUES.schedules]: 'Runs that start at their times.',
  [QUEUES.webhooks]:
    'One job for each event that is sent to a webhook; failed ones are dead until they are redelivered.',
};

/**
 * Bull Board over all queues, to be mounted at `BOARD_PATH`. Whoever may not change anything is given one that cannot:
 * it offers nothing to be changed, and answers 405 to what asks all the same.
 */
export function boardRoutes(queues: FleetQueues): Router {
  const [forAdmins, forReaders] = [board(queues, false), board(queues, true)];
  const router = Router();
  router.use(withoutForeignFonts, raiseFlowLimits, (req, res, next) =>
    (mayDo(principalOf(req), 'admin') ? forAdmins : forReaders)(req, res, next),
  );
  return router;
}

function board({ queues }: FleetQueues, readOnlyMode: boolean): Router {
  const serverAdapter = new ExpressAdapter();
  serverAdapter.setBasePath(BOARD_PATH);
  // Where webhooks lead may be a secret, and stands in the names and faults of their jobs.
  const shown = queues.filter(({ name }) => !readOnlyMode || name !== QUEUES.webhooks);
  const adapters = shown.map((queue) => {
    const adapter = new BullMQAdapter(queue, {
      readOnlyMode,
      delimiter: '.',
      description: DESCRIPTIONS[queue.name] ?? 'The work of one persona, over all runs.',
      externalJobUrl: ({ data }) => ({ displayText: 'Run', href: pageOf(data) }),
    });
    // Who may change a job must be shown all of it: what is saved is what was shown.
    if (readOnlyMode) adapter.setFormatter('data', withoutNoise);
    return adapter;
  });
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
  router.use(serverAdapter.getRouter());
  return router;
}

/** What says nothing about a job: versions, and fields that are empty. */
function withoutNoise(data: unknown): unknown {
  if (typeof data !== 'object' || data === null) return data;
  return Object.fromEntries(Object.entries(data).filter((entry) => !isNoise(entry)));
}

const isNoise = ([name, value]: [string, unknown]): boolean =>
  name === 'schemaVersion' || value === null || value === false || (Array.isArray(value) && value.length === 0);

/** Its page asks another host for its letters, which would tell that host who looks, and is refused by our headers. */
const withoutForeignFonts: RequestHandler = (_req, res, next) => {
  const send = res.send.bind(res);
  res.send = (body: unknown) =>
    send(typeof body === 'string' ? body.replace(/<link[^>]*\bhref="https:[^>]*>/g, '') : body);
  next();
};

/** The page asks for no more than its defaults, so the limits are set where its question arrives. */
const raiseFlowLimits: RequestHandler = (req, _res, next) => {
  // Not by `URL`: a path that begins with two slashes would be read as a host.
  const [path = '', query] = req.url.split('?', 2);
  if (path.endsWith('/flow')) {
    const asked = new URLSearchParams(query);
    for (const [name, value] of Object.entries(FLOW_LIMITS)) if (!asked.has(name)) asked.set(name, value);
    req.url = `${path}?${asked.toString()}`;
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
