import type { RunTake } from './names.ts';
import type { PlannedPhase, RunPlan } from './run-record.ts';
import type { Concurrency } from './workflow-schema.ts';

export interface Place extends Concurrency {
  /** `<run>.g<generation>` for a whole run, with `/<phase>` for a phase. */
  holder: string;
}

export const holderOf = ({ runId, generation }: RunTake, phase?: string): string =>
  `${runId}.g${generation}${phase === undefined ? '' : `/${phase}`}`;

/**
 * The places a phase needs, in the order in which everybody takes them: of its run, among the instances of its phase,
 * and of its own group. One who waits for a later place holds only earlier ones, so that nobody waits in a circle.
 */
export function placesOf(plan: RunPlan, phase: PlannedPhase, take: RunTake): Place[] {
  const holder = holderOf(take, phase.name);
  const parallel = plan.phases.find(({ name }) => name === phase.instance?.of)?.repeat?.parallel ?? null;
  return [
    ...(plan.concurrency === undefined ? [] : [{ ...plan.concurrency, holder: holderOf(take) }]),
    ...(parallel === null ? [] : [{ group: `${holderOf(take)}/${phase.instance?.of}`, limit: parallel, holder }]),
    // The places of a repeated phase are taken by its instances.
    ...(phase.concurrency === undefined || phase.repeat !== undefined ? [] : [{ ...phase.concurrency, holder }]),
  ];
}

/** Who a holder is. */
export function holderFrom(holder: string): { runId: string; generation: number; phase?: string } | undefined {
  const [, runId, generation, phase] = /^(.+?)\.g(\d+)(?:\/(.+))?$/.exec(holder) ?? [];
  if (runId === undefined) return undefined;
  return { runId, generation: Number(generation), ...(phase === undefined ? {} : { phase }) };
}
