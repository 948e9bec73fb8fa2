import { z } from 'zod';
import { Name, RunId } from '../shared/names.ts';
import type { FleetQueues } from './bull-board.ts';
import { PhaseJobs, phaseJobs } from './phase-jobs.ts';
import { Scope } from './principal.ts';
import { type Route, json, route } from './route.ts';
import type { ServerContext } from './server-context.ts';

/** Who asks, and what they may do. */
export const Me = z.strictObject({
  kind: z.enum(['token', 'bootstrap', 'local', 'anonymous']),
  name: z.string(),
  scopes: z.array(Scope),
});
export type Me = z.infer<typeof Me>;

/** What the pages ask beside what any program asks. */
export const viewerRoutes = ({ store }: ServerContext, queues: FleetQueues): Route[] => [
  route({
    method: 'get',
    path: '/api/me',
    id: 'getMe',
    summary: 'Whose token this is, and what it may do',
    scope: 'read',
    answers: [json(200, 'Who asks', 'Me', Me)],
    handle: ({ principal: { kind, name, scopes }, res }) => {
      res.json({ kind, name, scopes: [...scopes] });
    },
  }),
  route({
    method: 'get',
    path: '/api/runs/{id}/phases/{phase}/jobs',
    id: 'listPhaseJobs',
    summary: 'The jobs of a phase that are in the queues, with their pages in Bull Board',
    scope: 'read',
    params: z.object({ id: RunId, phase: Name }),
    answers: [json(200, 'The jobs, newest first', 'PhaseJobs', PhaseJobs)],
    handle: async ({ params: { id, phase }, res }) => {
      res.json(await phaseJobs({ store, queues }, id, phase));
    },
  }),
];
