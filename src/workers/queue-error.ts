import { DelayedError, UnrecoverableError, WaitingChildrenError } from 'bullmq';
import { FleetError, errorMessage } from '../shared/errors.ts';

/** An error in BullMQ's terms: what running again cannot mend is not run again. */
export function toQueueError(err: unknown): Error {
  if (err instanceof DelayedError || err instanceof WaitingChildrenError) return err;
  if (err instanceof FleetError) {
    const message = err.code === 'PHASE_NOT_PASSED' ? err.message : `${err.code}: ${err.message}`;
    return err.retry ? new Error(message, { cause: err }) : new UnrecoverableError(message);
  }
  return err instanceof Error ? err : new Error(errorMessage(err));
}
