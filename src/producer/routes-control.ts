import { z } from 'zod';
import { FleetError } from '../shared/errors.ts';
import { Approval } from '../shared/handoff.ts';
import type { Logger } from '../shared/logger.ts';
import { Name, RunId } from '../shared/names.ts';
import { Question, QuestionId } from '../shared/question.ts';
import {
  AnswerRequest,
  ApprovalRequest,
  CancelRequest,
  CancelResponse,
  PauseRequest,
  PauseResponse,
  ResumeRequest,
  ResumeResponse,
  RetryRequest,
} from './api-schemas.ts';
import { answerQuestion } from './answer-question.ts';
import { approvePhase } from './enqueue.ts';
import { type Principal, mayApprove, mayDo } from './principal.ts';
import { type ResumeRequest as TakeUpRequest, resumeRun } from './resume.ts';
import { type Route, json, route } from './route.ts';
import { cancelRun, pauseRun } from './run-control.ts';
import type { ServerContext } from './server-context.ts';

const RunParams = z.object({ id: RunId });
const QuestionParams = z.object({ id: RunId, questionId: QuestionId });
const PhaseParams = z.object({ id: RunId, phase: Name });

/** What can be done to runs. */
export const controlRoutes = (context: ServerContext): Route[] => [
  approvalRoute(context),
  answerRoute(context),
  ...stopRoutes(context),
  ...takeUpRoutes(context),
];

function approvalRoute({ store, redis, prefix }: ServerContext): Route {
  return route({
    method: 'post',
    path: '/api/runs/{id}/approvals/{phase}',
    id: 'approvePhase',
    summary: 'Record a decision of a person in a role',
    scope: 'approve',
    params: PhaseParams,
    body: { name: 'ApprovalRequest', schema: ApprovalRequest },
    answers: [json(201, 'The decision as recorded', 'Approval', Approval)],
    handle: async ({ params: { id, phase }, body, principal, note, logger, res }) => {
      note({ role: body.role, decision: body.decision });
      if (!mayApprove(principal, body.role))
        throw new FleetError('FORBIDDEN', `this token may not decide as ${body.role}`, {
          remedy: `Use a token with the scope \`approve:${body.role}\`.`,
        });
      const by = personOf(principal, body.by);
      const approval = await approvePhase({ redis, prefix, store }, id, { ...body, by, phase, simulated: false });
      logger.info({ runId: id, phase, role: approval.role, decision: approval.decision }, 'approval recorded');
      res.status(201).json(approval);
    },
  });
}

/** An answer is a person's decision, like an approval; it is bound to no role. */
function answerRoute({ store, redis, prefix }: ServerContext): Route {
  return route({
    method: 'post',
    path: '/api/runs/{id}/questions/{questionId}',
    id: 'answerQuestion',
    summary: 'Answer what a persona asked a person; its conversation goes on with it',
    scope: 'approve',
    params: QuestionParams,
    body: { name: 'AnswerRequest', schema: AnswerRequest },
    answers: [json(201, 'The question with its answer', 'Question', Question)],
    handle: async ({ params: { id, questionId }, body, principal, logger, res }) => {
      const question = await answerQuestion({ redis, prefix, store }, id, {
        ...body,
        by: personOf(principal, body.by),
        id: questionId,
      });
      logger.info({ runId: id, phase: question.phase, questionId }, 'question answered');
      res.status(201).json(question);
    },
  });
}

/** Who decided: the name that was given, and the token that vouches for it, where there is one. */
const personOf = ({ kind, name }: Principal, by: string): string => (kind === 'local' ? by : `${by} (token ${name})`);

function stopRoutes({ store, redis, prefix }: ServerContext): Route[] {
  const target = { redis, prefix, store };
  return [
    route({
      method: 'post',
      path: '/api/runs/{id}/cancel',
      id: 'cancelRun',
      summary: 'End a run',
      scope: 'run',
      params: RunParams,
      body: { name: 'CancelRequest', schema: CancelRequest },
      answers: [
        json(202, 'It ends', 'CancelResponse', CancelResponse),
        json(200, 'It had ended already', 'CancelResponse', CancelResponse),
      ],
      handle: async ({ params: { id }, body: { reason }, logger, res }) => {
        const cancelled = await cancelRun(target, id, reason);
        const run = await store.getRun(id);
        logger.info({ runId: id, cancelled }, 'cancel asked for');
        res.status(cancelled ? 202 : 200).json({ runId: id, status: run.status, cancelled });
      },
    }),
    route({
      method: 'post',
      path: '/api/runs/{id}/pause',
      id: 'pauseRun',
      summary: 'Start nothing new; conversations under way end their turn and wait',
      scope: 'run',
      params: RunParams,
      body: { name: 'PauseRequest', schema: PauseRequest },
      answers: [json(200, 'It is paused', 'PauseResponse', PauseResponse)],
      handle: async ({ params: { id }, body: { reason }, logger, res }) => {
        const paused = await pauseRun(target, id, reason);
        logger.info({ runId: id, paused }, 'pause asked for');
        res.json({ runId: id, status: (await store.getRun(id)).status, paused });
      },
    }),
  ];
}

function takeUpRoutes({ store, redis, prefix }: ServerContext): Route[] {
  const takeUp = async (who: Principal, logger: Logger, runId: RunId, request: TakeUpRequest) => {
    const mayRaiseBudget = mayDo(who, 'admin');
    const resumed = await resumeRun({ redis, prefix, store }, runId, { ...request, mayRaiseBudget });
    logger.info({ ...resumed }, 'resume asked for');
    return resumed;
  };
  return [
    route({
      method: 'post',
      path: '/api/runs/{id}/resume',
      id: 'resumeRun',
      summary: 'Let a run go on: a paused one, or what did not pass of one that ended',
      scope: 'run',
      params: RunParams,
      body: { name: 'ResumeRequest', schema: ResumeRequest },
      answers: [json(202, 'What is run again', 'ResumeResponse', ResumeResponse)],
      handle: async ({ params: { id }, body: { reason, budget }, principal, logger, res }) => {
        res
          .status(202)
          .json(await takeUp(principal, logger, id, { reason, ...(budget === undefined ? {} : { budget }) }));
      },
    }),
    route({
      method: 'post',
      path: '/api/runs/{id}/retry',
      id: 'retryRun',
      summary: 'Run one phase again, or all from a phase onward',
      scope: 'run',
      params: RunParams,
      body: { name: 'RetryRequest', schema: RetryRequest },
      answers: [json(202, 'What is run again', 'ResumeResponse', ResumeResponse)],
      handle: async ({ params: { id }, body: { phase, from, reason, budget }, principal, logger, res }) => {
        const again =
          phase === undefined ? ({ kind: 'from', phase: from ?? '' } as const) : ({ kind: 'phase', phase } as const);
        res
          .status(202)
          .json(
            await takeUp(principal, logger, id, { takeUp: again, reason, ...(budget === undefined ? {} : { budget }) }),
          );
      },
    }),
  ];
}
