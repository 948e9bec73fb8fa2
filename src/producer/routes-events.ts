import { z } from 'zod';
import { Name, RunId } from '../shared/names.ts';
import { FleetEventsQuery, RunEventsQuery } from './api-schemas.ts';
import { streamCommands } from './command-stream.ts';
import { streamEvents } from './event-stream.ts';
import { streamFleet } from './fleet-stream.ts';
import { type Route, route, text } from './route.ts';
import type { ServerContext } from './server-context.ts';

/** What can be listened to. */
export const eventRoutes = (context: ServerContext): Route[] => [
  route({
    method: 'get',
    path: '/api/runs/{id}/events',
    id: 'streamEvents',
    summary: 'The events of a run, replayed and then live, until it has ended; each is a RunEvent',
    scope: 'read',
    params: z.object({ id: RunId }),
    query: RunEventsQuery,
    headers: { 'Last-Event-ID': 'The number of the last event already seen; all of them, without it' },
    answers: [
      text(200, 'Server-sent events', 'text/event-stream'),
      { status: 204, description: 'The run has ended and everything was seen' },
    ],
    handle: ({ params: { id }, req, res }) => streamEvents(context, id, req, res),
  }),
  route({
    method: 'get',
    path: '/api/runs/{id}/commands',
    id: 'streamCommands',
    summary:
      'What commands of personas print while they run, until the run has ended: each `command.output` is a LiveCommand',
    scope: 'read',
    params: z.object({ id: RunId }),
    query: z.strictObject({ phase: Name.optional() }),
    answers: [text(200, 'Server-sent events', 'text/event-stream'), { status: 204, description: 'The run has ended' }],
    handle: ({ params: { id }, query: { phase }, res }) => streamCommands(context, { runId: id, phase }, res),
  }),
  route({
    method: 'get',
    path: '/api/events',
    id: 'streamFleetEvents',
    summary: 'What happens to all runs: statuses and verdicts, or the types that are asked for; each is a FleetEvent',
    scope: 'read',
    query: FleetEventsQuery,
    headers: { 'Last-Event-ID': 'The id of the last event already seen; 0 for all that is kept; from now, without it' },
    answers: [text(200, 'Server-sent events', 'text/event-stream')],
    handle: ({ query, req, res }) => streamFleet(context, query, req, res),
  }),
];
