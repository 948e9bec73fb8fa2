import { Router } from 'express';
import { z } from 'zod';
import { Name, RunId } from '../shared/names.ts';
import { ApprovalRequest, CancelRequest, PauseRequest, ResumeRequest, RetryRequest } from './api-schemas.ts';
import { approvePhase } from './enqueue.ts';
import { methodNotAllowed, parsePart } from './problem.ts';
import { type ResumeRequest as TakeUpRequest, resumeRun } from './resume.ts';
import { cancelRun, pauseRun } from './run-control.ts';
import type { ServerContext } from './server-context.ts';

const RunParams = z.object({ id: RunId });
const PhaseParams = z.object({ id: RunId, phase: Name });

/** What can be done to runs. */
export function controlRoutes({ store, redis, prefix, logger }: ServerContext): Router {
  const router = Router();
  const target = { redis, prefix, store };
  const takeUp = async (runId: RunId, request: TakeUpRequest) => {
    const resumed = await resumeRun(target, runId, request);
    logger.info({ ...resumed }, 'resume asked for');
    return resumed;
  };
  router
    .route('/api/runs/:id/approvals/:phase')
    .post(async (req, res) => {
      const { id, phase } = parsePart(PhaseParams, 'params', req);
      const request = parsePart(ApprovalRequest, 'body', req);
      const approval = await approvePhase(target, id, { ...request, phase, simulated: false });
      logger.info({ runId: id, phase, role: approval.role, decision: approval.decision }, 'approval recorded');
      res.status(201).json(approval);
    })
    .all(methodNotAllowed(['POST']));
  router
    .route('/api/runs/:id/cancel')
    .post(async (req, res) => {
      const { id } = parsePart(RunParams, 'params', req);
      const { reason } = parsePart(CancelRequest, 'body', req);
      const cancelled = await cancelRun(target, id, reason);
      const run = await store.getRun(id);
      logger.info({ runId: id, cancelled }, 'cancel asked for');
      res.status(cancelled ? 202 : 200).json({ runId: id, status: run.status, cancelled });
    })
    .all(methodNotAllowed(['POST']));
  router
    .route('/api/runs/:id/pause')
    .post(async (req, res) => {
      const { id } = parsePart(RunParams, 'params', req);
      const { reason } = parsePart(PauseRequest, 'body', req);
      const paused = await pauseRun(target, id, reason);
      logger.info({ runId: id, paused }, 'pause asked for');
      res.json({ runId: id, status: (await store.getRun(id)).status, paused });
    })
    .all(methodNotAllowed(['POST']));
  router
    .route('/api/runs/:id/resume')
    .post(async (req, res) => {
      const { id } = parsePart(RunParams, 'params', req);
      const { reason, budget } = parsePart(ResumeRequest, 'body', req);
      res.status(202).json(await takeUp(id, { reason, ...(budget === undefined ? {} : { budget }) }));
    })
    .all(methodNotAllowed(['POST']));
  router
    .route('/api/runs/:id/retry')
    .post(async (req, res) => {
      const { id } = parsePart(RunParams, 'params', req);
      const { phase, from, reason, budget } = parsePart(RetryRequest, 'body', req);
      const again =
        phase === undefined ? ({ kind: 'from', phase: from ?? '' } as const) : ({ kind: 'phase', phase } as const);
      res.status(202).json(await takeUp(id, { takeUp: again, reason, ...(budget === undefined ? {} : { budget }) }));
    })
    .all(methodNotAllowed(['POST']));
  return router;
}
