import { FleetError } from '../shared/errors.ts';
import type { GateJob, PersonaJob } from '../shared/jobs.ts';
import {
  OPEN_PHASE,
  type PhaseStatus,
  type PlannedPhase,
  type RunPlan,
  type RunStatus,
  TERMINAL_PHASE,
  TERMINAL_RUN,
} from '../shared/run-record.ts';
import { QUEUES, jobIds, personaQueue } from '../shared/names.ts';
import type { Fence, ParkedJob } from '../shared/run-store.ts';
import { moveRun, movePhase } from '../shared/transitions.ts';
import { settleEndedPhase } from './control-jobs.ts';
import { unmetCondition } from './phase-conditions.ts';
import { takePlaces } from './places.ts';
import type { WorkerContext } from './worker-context.ts';

interface Beginning {
  data: PersonaJob | GateJob;
  fence: Fence;
}

/**
 * Starts the phase, unless a phase it needs has not passed: then it ends here as `not_started`; or a condition of it
 * does not hold: then it is `skipped`. A condition without a result blocks it. Throws when the phase has ended and
 * hands nothing on, and parks while its groups have no place for it.
 */
export async function beginPhase(
  ctx: Pick<WorkerContext, 'store' | 'blobs' | 'redis' | 'config'>,
  { data, fence }: Beginning,
  plan: RunPlan,
  phase: PlannedPhase,
): Promise<'begun' | 'skipped'> {
  const { store } = ctx;
  const { runId } = data;
  const record = await store.getPhase(runId, phase.name);
  if (record.status === 'skipped') return 'skipped';
  if (TERMINAL_PHASE.includes(record.status)) throw ended(record.status, record.reason);
  const end = async (status: 'not_started' | 'blocked', reason: string): Promise<never> => {
    await movePhase(store, runId, phase.name, status, { reason, fence });
    throw ended(status, reason);
  };
  const needed = await Promise.all(phase.needs.map((need) => settleEndedPhase(store, runId, need, fence)));
  const closed = needed.filter((need) => !OPEN_PHASE.includes(need.status));
  if (closed.length > 0) {
    const reasons = closed.map((need) => `${need.phase} is ${need.status.replaceAll('_', ' ')}`);
    return end('not_started', reasons.join(', '));
  }
  if (record.status === 'waiting') {
    const unmet = await unmetCondition(ctx, plan, phase).catch((err: unknown) => {
      if (err instanceof FleetError && err.code === 'BAD_INPUT') return end('blocked', err.message);
      throw err;
    });
    if (unmet !== undefined) {
      await movePhase(store, runId, phase.name, 'skipped', { reason: `\`if: ${unmet}\` does not hold`, fence });
      return 'skipped';
    }
  }
  await enterPhase(ctx, { data, fence }, plan, phase, record.status);
  return 'begun';
}

/** Puts a phase under way that may begin, and the run with it. Throws when the run or the phase has ended meanwhile. */
export async function enterPhase(
  ctx: Pick<WorkerContext, 'store' | 'redis' | 'config'>,
  { data, fence }: Beginning,
  plan: RunPlan,
  phase: PlannedPhase,
  before: PhaseStatus,
): Promise<void> {
  const { store } = ctx;
  const { runId } = data;
  const isNew = before === 'waiting';
  if (isNew) await takePlaces(ctx, { plan, phase, take: data, job: queueJobOf(data) });
  const run: { status: RunStatus } = { status: 'running' };
  await moveRun(store, runId, 'running', { from: ['queued'], fence, found: (status) => (run.status = status) });
  if (!isNew) return;
  const hasEnded = TERMINAL_RUN.includes(run.status);
  const next = !hasEnded ? 'running' : run.status === 'cancelled' ? 'cancelled' : 'not_started';
  const isMoved = await movePhase(store, runId, phase.name, next, {
    ...(hasEnded ? { reason: `the run is ${run.status}` } : {}),
    fence,
  });
  if (isMoved && !hasEnded) return;
  const now = await store.getPhase(runId, phase.name);
  throw ended(now.status, now.reason);
}

/** The job in its queue. */
function queueJobOf(data: PersonaJob | GateJob): ParkedJob {
  if (!('persona' in data)) return { queue: QUEUES.gates, jobId: jobIds.gate(data, data.phase) };
  const { kind, phase, persona, round } = data;
  return { queue: personaQueue(persona), jobId: jobIds[kind](data, phase, persona, round) };
}

const ended = (status: string, reason: string): FleetError =>
  new FleetError('PHASE_NOT_PASSED', `${status}: ${reason}`);
