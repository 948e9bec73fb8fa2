import { FleetError } from '../shared/errors.ts';
import type { GateJobResult } from '../shared/jobs.ts';
import { OPEN_PHASE, type PhaseRecord } from '../shared/run-record.ts';

/** What an ended phase means for its gate job: its result, or a failure that will not be retried. */
export function endedPhase(record: PhaseRecord): GateJobResult {
  const verdict = record.rounds.at(-1)?.verdict ?? null;
  if (OPEN_PHASE.includes(record.status)) return { phase: record.phase, status: record.status, verdict };
  throw new FleetError('PHASE_NOT_PASSED', `${record.status}: ${record.reason}`);
}
