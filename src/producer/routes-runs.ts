import { z } from 'zod';
import { FleetError } from '../shared/errors.ts';
import { RunId } from '../shared/names.ts';
import { runKey } from '../shared/run-keys.ts';
import { BlobRef, type PhaseRecord, replayedMark } from '../shared/run-record.ts';
import { RunArtifacts, RunDetail, RunEvidence, RunGates, RunList, RunListQuery, RunReport } from './api-schemas.ts';
import { groupWaits } from './group-waits.ts';
import { type Route, json, route, text } from './route.ts';
import { runLinks } from './run-links.ts';
import { sendRounds } from './send-rounds.ts';
import { buildReport } from './run-report.ts';
import type { ServerContext } from './server-context.ts';

const RunParams = z.object({ id: RunId });
const BlobParams = z.object({ id: RunId, ref: BlobRef });

/** What can be asked of runs. */
export const runRoutes = (context: ServerContext): Route[] => [
  listRoute(context),
  detailRoute(context),
  ...judgementRoutes(context),
  ...fileRoutes(context),
];

function listRoute({ store }: ServerContext): Route {
  return route({
    method: 'get',
    path: '/api/runs',
    id: 'listRuns',
    summary: 'Runs, newest first',
    scope: 'read',
    query: RunListQuery,
    answers: [json(200, 'One page', 'RunList', RunList)],
    handle: async ({ query: { limit, cursor, status, workflow, persona, verdict, from, to }, res }) => {
      res.json(
        await store.listRuns({
          limit,
          ...(cursor === undefined ? {} : { before: cursor }),
          ...(status === undefined ? {} : { statuses: status }),
          ...(workflow === undefined ? {} : { workflow }),
          ...(persona === undefined ? {} : { persona }),
          ...(verdict === undefined ? {} : { verdict }),
          ...(from === undefined ? {} : { from: Date.parse(from) }),
          ...(to === undefined ? {} : { to: Date.parse(to) }),
        }),
      );
    },
  });
}

function detailRoute({ store, redis, prefix }: ServerContext): Route {
  return route({
    method: 'get',
    path: '/api/runs/{id}',
    id: 'getRun',
    summary: 'A run with its plan and phases',
    scope: 'read',
    params: RunParams,
    answers: [json(200, 'The run', 'RunDetail', RunDetail)],
    handle: async ({ params: { id }, res }) => {
      const [run, plan, phases, approvals, questions] = await Promise.all([
        store.getRun(id),
        store.getPlan(id),
        store.getPhases(id),
        store.getApprovals(id),
        store.getQuestions(id),
      ]);
      const { inputs, budget, workflowDigest, startAt = null } = plan;
      const planned = { inputs, budget, workflowDigest, startAt, plan: plan.phases };
      const archived = (await redis.exists(runKey(prefix, id))) === 0;
      const waits = await groupWaits({ redis, prefix }, { plan, run, phases });
      const detail: RunDetail = { run, ...planned, phases, approvals, questions, archived, waits, links: runLinks(id) };
      res.json(detail);
    },
  });
}

function judgementRoutes({ store, blobs }: ServerContext): Route[] {
  return [
    route({
      method: 'get',
      path: '/api/runs/{id}/gates',
      id: 'getGates',
      summary: 'Every verdict of a run, phase by phase and round by round',
      scope: 'read',
      params: RunParams,
      answers: [json(200, 'The verdicts', 'RunGates', RunGates)],
      handle: async ({ params: { id }, res }) => {
        const [run, plan, phases] = await Promise.all([store.getRun(id), store.getPlan(id), store.getPhases(id)]);
        const gates: RunGates = {
          runId: id,
          status: run.status,
          simulated: run.simulated,
          ...replayedMark(run.replayed),
          phases: phases.map(({ phase, status, rounds }, index) => ({
            phase,
            status,
            policy: plan.phases[index]?.policy ?? null,
            policyFallback: plan.phases[index]?.policyFallback ?? false,
            rounds: rounds.map(({ round, at, findings, verdict }) => ({ round, at, findings, verdict })),
          })),
        };
        res.json(gates);
      },
    }),
    route({
      method: 'get',
      path: '/api/runs/{id}/report',
      id: 'getReport',
      summary: 'What a run came to, and what blocked it',
      scope: 'read',
      params: RunParams,
      answers: [json(200, 'The report', 'RunReport', RunReport)],
      handle: async ({ params: { id }, res }) => {
        const [run, plan, phases] = await Promise.all([store.getRun(id), store.getPlan(id), store.getPhases(id)]);
        res.json(buildReport(plan, run, phases));
      },
    }),
    route({
      method: 'get',
      path: '/api/runs/{id}/evidence',
      id: 'getEvidence',
      summary: 'What every verdict rests on: measurements, findings, reviews, approvals',
      scope: 'read',
      params: RunParams,
      answers: [json(200, 'The evidence of every round', 'RunEvidence', RunEvidence)],
      handle: async ({ params: { id }, res }) => {
        const [run, phases] = await Promise.all([store.getRun(id), store.getPhases(id)]);
        const refs = phases.flatMap((record) => record.rounds.map((round) => round.evidence));
        await sendRounds(res, { runId: id, simulated: run.simulated, ...replayedMark(run.replayed) }, refs, blobs);
      },
    }),
  ];
}

function fileRoutes({ store, blobs }: ServerContext): Route[] {
  return [
    route({
      method: 'get',
      path: '/api/runs/{id}/artifacts',
      id: 'getArtifacts',
      summary: 'What each phase handed on',
      scope: 'read',
      params: RunParams,
      answers: [json(200, 'Addresses of git bundles, handoffs and transcripts', 'RunArtifacts', RunArtifacts)],
      handle: async ({ params: { id }, res }) => {
        const link = (ref: BlobRef) => ({ ref, href: `/api/runs/${id}/blobs/${ref}` });
        const links = (refs: Record<string, BlobRef>) =>
          Object.fromEntries(Object.entries(refs).map(([name, ref]) => [name, link(ref)]));
        const run = await store.getRun(id);
        const artifacts: RunArtifacts = {
          runId: id,
          simulated: run.simulated,
          ...replayedMark(run.replayed),
          phases: (await store.getPhases(id)).map(({ phase, commit, bundle, handoffs, transcripts }) => ({
            phase,
            commit,
            bundle: bundle === null ? null : link(bundle),
            handoffs: links(handoffs),
            transcripts: links(transcripts),
          })),
        };
        res.json(artifacts);
      },
    }),
    route({
      method: 'get',
      path: '/api/runs/{id}/blobs/{ref}',
      id: 'getBlob',
      summary: 'One blob that a run names',
      scope: 'read',
      params: BlobParams,
      answers: [text(200, 'Its bytes', 'application/octet-stream')],
      handle: async ({ params: { id, ref }, res }) => {
        // Only what this run's records name; an address alone opens nothing.
        if (!(await store.getPhases(id)).some((record) => blobsOf(record).includes(ref)))
          throw new FleetError('NOT_FOUND', `run ${id} has no blob ${ref}`);
        const bytes = await blobs.get(ref);
        res.set('Cache-Control', 'private, max-age=31536000, immutable').attachment(ref);
        res.type('application/octet-stream').send(Buffer.from(bytes));
      },
    }),
  ];
}

const blobsOf = (record: PhaseRecord): string[] => [
  ...(record.bundle === null ? [] : [record.bundle]),
  ...Object.values(record.handoffs),
  ...Object.values(record.transcripts),
  ...record.rounds.map((round) => round.evidence),
];
