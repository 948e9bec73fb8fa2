import type { Severity } from '../shared/verdict.ts';
import type { Condition } from './conditions.ts';
import type { PhasePolicy } from './policy-schema.ts';

export interface LoadedGate {
  gate: string;
  severity: Severity;
  condition: Condition;
}

export interface LoadedTarget {
  metric: string;
  /** As written, e.g. `>= 5`. */
  target: string;
  condition: Condition;
}

/** A phase policy whose conditions are compiled. */
export interface LoadedPolicy {
  name: string;
  policy: PhasePolicy;
  gates: readonly LoadedGate[];
  targets: readonly LoadedTarget[];
}
