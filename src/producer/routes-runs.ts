import { type Request, Router } from 'express';
import { z } from 'zod';
import { getJson } from '../shared/blob-store.ts';
import { FleetError } from '../shared/errors.ts';
import { RunId } from '../shared/names.ts';
import { RoundEvidence } from '../shared/round-evidence.ts';
import { runKey } from '../shared/run-keys.ts';
import { BlobRef, type PhaseRecord } from '../shared/run-record.ts';
import { RunListQuery, type RunArtifacts, type RunDetail, type RunGates } from './api-schemas.ts';
import { streamEvents } from './event-stream.ts';
import { groupWaits } from './group-waits.ts';
import { methodNotAllowed, parsePart } from './problem.ts';
import { runLinks } from './run-links.ts';
import { buildReport } from './run-report.ts';
import type { ServerContext } from './server-context.ts';

const RunParams = z.object({ id: RunId });
const BlobParams = z.object({ id: RunId, ref: BlobRef });

const runOf = (req: Request): RunId => parsePart(RunParams, 'params', req).id;

/** What can be asked of runs. */
export function runRoutes(context: ServerContext): Router {
  const router = Router();
  addReading(router, context);
  addFiles(router, context);
  return router;
}

function addReading(router: Router, context: ServerContext): void {
  const { store, redis, prefix } = context;
  router
    .route('/api/runs')
    .get(async (req, res) => {
      const { limit, cursor, status, workflow } = parsePart(RunListQuery, 'query', req);
      res.json(
        await store.listRuns({
          limit,
          ...(cursor === undefined ? {} : { before: cursor }),
          ...(status === undefined ? {} : { statuses: status }),
          ...(workflow === undefined ? {} : { workflow }),
        }),
      );
    })
    .all(methodNotAllowed(['GET']));
  router
    .route('/api/runs/:id')
    .get(async (req, res) => {
      const id = runOf(req);
      const [run, plan, phases, approvals] = await Promise.all([
        store.getRun(id),
        store.getPlan(id),
        store.getPhases(id),
        store.getApprovals(id),
      ]);
      const { inputs, budget, workflowDigest, startAt = null } = plan;
      const planned = { inputs, budget, workflowDigest, startAt, plan: plan.phases };
      const archived = (await redis.exists(runKey(prefix, id))) === 0;
      const waits = await groupWaits({ redis, prefix }, { plan, run, phases });
      const detail: RunDetail = { run, ...planned, phases, approvals, archived, waits, links: runLinks(id) };
      res.json(detail);
    })
    .all(methodNotAllowed(['GET']));
  router
    .route('/api/runs/:id/events')
    .get(async (req, res) => streamEvents(context, runOf(req), req, res))
    .all(methodNotAllowed(['GET']));
  router
    .route('/api/runs/:id/gates')
    .get(async (req, res) => {
      const id = runOf(req);
      const [run, plan, phases] = await Promise.all([store.getRun(id), store.getPlan(id), store.getPhases(id)]);
      const gates: RunGates = {
        runId: id,
        status: run.status,
        simulated: run.simulated,
        phases: phases.map(({ phase, status, rounds }, index) => ({
          phase,
          status,
          policy: plan.phases[index]?.policy ?? null,
          policyFallback: plan.phases[index]?.policyFallback ?? false,
          rounds: rounds.map(({ round, at, findings, verdict }) => ({ round, at, findings, verdict })),
        })),
      };
      res.json(gates);
    })
    .all(methodNotAllowed(['GET']));
  router
    .route('/api/runs/:id/report')
    .get(async (req, res) => {
      const id = runOf(req);
      const [run, plan, phases] = await Promise.all([store.getRun(id), store.getPlan(id), store.getPhases(id)]);
      res.json(buildReport(plan, run, phases));
    })
    .all(methodNotAllowed(['GET']));
}

function addFiles(router: Router, { store, blobs }: ServerContext): void {
  router
    .route('/api/runs/:id/artifacts')
    .get(async (req, res) => {
      const id = runOf(req);
      const link = (ref: BlobRef) => ({ ref, href: `/api/runs/${id}/blobs/${ref}` });
      const links = (refs: Record<string, BlobRef>) =>
        Object.fromEntries(Object.entries(refs).map(([name, ref]) => [name, link(ref)]));
      const run = await store.getRun(id);
      const artifacts: RunArtifacts = {
        runId: id,
        simulated: run.simulated,
        phases: (await store.getPhases(id)).map(({ phase, commit, bundle, handoffs, transcripts }) => ({
          phase,
          commit,
          bundle: bundle === null ? null : link(bundle),
          handoffs: links(handoffs),
          transcripts: links(transcripts),
        })),
      };
      res.json(artifacts);
    })
    .all(methodNotAllowed(['GET']));
  router
    .route('/api/runs/:id/blobs/:ref')
    .get(async (req, res) => {
      const { id, ref } = parsePart(BlobParams, 'params', req);
      // Only what this run's records name; an address alone opens nothing.
      if (!(await store.getPhases(id)).some((record) => blobsOf(record).includes(ref)))
        throw new FleetError('NOT_FOUND', `run ${id} has no blob ${ref}`);
      const bytes = await blobs.get(ref);
      res.set('Cache-Control', 'private, max-age=31536000, immutable').attachment(ref);
      res.type('application/octet-stream').send(Buffer.from(bytes));
    })
    .all(methodNotAllowed(['GET']));
  router
    .route('/api/runs/:id/evidence')
    .get(async (req, res) => {
      const id = runOf(req);
      const [run, phases] = await Promise.all([store.getRun(id), store.getPhases(id)]);
      const refs = phases.flatMap((record) => record.rounds.map((round) => round.evidence));
      const rounds = await Promise.all(refs.map((ref) => getJson(blobs, ref, RoundEvidence)));
      res.json({ runId: id, simulated: run.simulated, rounds });
    })
    .all(methodNotAllowed(['GET']));
}

const blobsOf = (record: PhaseRecord): string[] => [
  ...(record.bundle === null ? [] : [record.bundle]),
  ...Object.values(record.handoffs),
  ...Object.values(record.transcripts),
  ...record.rounds.map((round) => round.evidence),
];
