import { FleetError } from '../shared/errors.ts';
import type { PersonaJob } from '../shared/jobs.ts';
import { OPEN_PHASE, type PlannedPhase, TERMINAL_PHASE } from '../shared/run-record.ts';
import type { Fence, RunStore } from '../shared/run-store.ts';
import { moveRun, movePhase } from '../shared/transitions.ts';
import { settleEndedPhase } from './control-jobs.ts';

/** Starts the phase, unless a phase it needs has not passed: then it ends here as `not_started`. */
export async function beginPhase(
  store: RunStore,
  { data, fence }: { data: PersonaJob; fence: Fence },
  phase: PlannedPhase,
): Promise<void> {
  const record = await store.getPhase(data.runId, data.phase);
  if (TERMINAL_PHASE.includes(record.status))
    throw new FleetError('PHASE_NOT_PASSED', `${record.status}: ${record.reason}`);
  const needed = await Promise.all(phase.needs.map((need) => settleEndedPhase(store, data.runId, need, fence)));
  const closed = needed.filter((need) => !OPEN_PHASE.includes(need.status));
  if (closed.length > 0) {
    const reason = closed.map((need) => `${need.phase} is ${need.status.replaceAll('_', ' ')}`).join(', ');
    await movePhase(store, data.runId, data.phase, 'not_started', { reason, fence });
    throw new FleetError('PHASE_NOT_PASSED', `not_started: ${reason}`);
  }
  if (record.status === 'waiting') await movePhase(store, data.runId, data.phase, 'running', { fence });
  await moveRun(store, data.runId, 'running', { from: ['queued'], fence });
}
