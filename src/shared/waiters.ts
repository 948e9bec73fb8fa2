import type { PlannedPhase } from './run-record.ts';

/** What stands for the personas of a repeated phase: its gate job waits for what they need, and then adds them. */
const INSTANCES = 'instances';

/** Who waits for the phases that a phase needs, one job each: its personas, or what stands for its instances. */
export const waitersOf = ({ repeat, personas }: PlannedPhase): readonly string[] =>
  repeat === undefined ? personas : [INSTANCES];
