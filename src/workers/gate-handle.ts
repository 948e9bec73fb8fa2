import type { ApprovalJob, GateJob, GateProgress, PersonaJob } from '../shared/jobs.ts';
import type { Fence } from '../shared/run-store.ts';
import type { ChildOutcomes } from './gate-children.ts';

/** A job that a gate job adds below itself while it runs. Its id is deterministic, so adding it twice does nothing. */
export interface ChildSpec {
  queue: string;
  name: string;
  jobId: string;
  data: PersonaJob | ApprovalJob | GateJob;
  attempts: number;
  priority?: number;
  /** Jobs below it, added in the same step. */
  children?: ChildSpec[];
}

/** What a gate job may do with its own BullMQ job. */
export interface GateHandle {
  readonly data: GateJob;
  readonly fence: Fence;
  readonly signal: AbortSignal;
  children(): Promise<ChildOutcomes>;
  /** Keeps data that must survive until the job is run again. */
  save(data: GateJob): Promise<void>;
  /** Sends a round's verdict along the job's own events. */
  report(progress: GateProgress): Promise<void>;
  /** Adds the children and gives the worker back until they have ended; the job is then run again from the top. */
  waitFor(children: readonly ChildSpec[]): Promise<never>;
}
