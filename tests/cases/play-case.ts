import { type EndedRun, type Metrics, type Work, startSuppliedFleet } from '../support/supplied-fleet.ts';
import { testRedis } from '../support/test-redis.ts';
import { fullRecord } from './records.ts';
import { workflowText } from './workflow-text.ts';

export type Shape = Readonly<Record<string, readonly string[]>>;

interface Case {
  /** Phase -> what is measured otherwise than in the full good record. */
  measured?: Readonly<Record<string, Metrics>>;
  /** Phase -> all that is measured. */
  only?: Readonly<Record<string, Metrics>>;
  work?: (work: Work) => Promise<void> | void;
  /** What a phase says beside its needs. */
  more?: Readonly<Record<string, string>>;
  defaults?: string;
  /** The address of a model that the real persona jobs ask. */
  model?: string;
}

export interface Played extends EndedRun {
  /** `design+` when its work began, `design-` when it ended. */
  log: readonly string[];
}

/** Plays a workflow as a whole run: every phase has its full good record, changed as far as the phase reads it. */
export async function playCase(shape: Shape, of: Case = {}): Promise<Played> {
  const fleet = await startSuppliedFleet(testRedis(), {
    metrics: (phase) => {
      const only = of.only?.[phase];
      if (only !== undefined) return only;
      const record = fullRecord(phase);
      const changed = Object.entries(of.measured?.[phase] ?? {}).filter(([name]) => name in record);
      return { ...record, ...Object.fromEntries(changed) };
    },
    ...(of.work === undefined ? {} : { work: of.work }),
    ...(of.model === undefined ? {} : { model: of.model }),
  });
  const ended = await fleet.run(workflowText(shape, of.more, of.defaults));
  return { ...ended, log: fleet.log };
}

/** Work that goes on until so many phases are under way at the same time. */
export function untilTogether(names: readonly string[]): (work: Work) => Promise<void> {
  let isTogether: () => void = () => undefined;
  const together = new Promise<void>((resolve) => (isTogether = resolve));
  const begun = new Set<string>();
  return async ({ phase }) => {
    if (!names.includes(phase)) return;
    begun.add(phase);
    if (begun.size === names.length) isTogether();
    await together;
  };
}

/** Phase -> status, in the order of the plan. */
export const statuses = ({ plan, phases }: EndedRun): Record<string, string | undefined> =>
  Object.fromEntries(plan.phases.map(({ name }) => [name, phases[name]?.status]));

const verdictsOf = ({ phases }: EndedRun) =>
  Object.values(phases).flatMap((phase) => phase.rounds.at(-1)?.verdict ?? []);

/** How many gates of all phases passed, and everything that did not pass by what it is called. */
export function tally(ended: EndedRun) {
  const verdicts = verdictsOf(ended);
  const gates = verdicts.flatMap(({ phase, gates: all }) => all.map((gate) => ({ phase, ...gate })));
  return {
    passed: gates.filter((gate) => gate.outcome === 'passed').length,
    failed: gates.filter((gate) => gate.outcome === 'failed').map(({ phase, gate }) => `${phase}/${gate}`),
    errors: gates.filter((gate) => gate.outcome === 'error').map(({ phase, gate }) => `${phase}/${gate}`),
    warnings: verdicts.flatMap(({ phase, criteria, targets, contracts }) => [
      ...criteria
        .filter(({ outcome, severity }) => outcome === 'failed' && severity === 'WARNING')
        .map(({ criterion }) => `${phase}/${criterion}`),
      ...targets.filter(({ outcome }) => outcome !== 'met').map(({ metric }) => `${phase}/${metric}`),
      ...(contracts ?? []).filter(({ outcome }) => outcome !== 'passed').map(({ name }) => `${phase}/${name}`),
    ]),
  };
}

/** The events of one kind. */
export const eventsOf = <T extends EndedRun['events'][number]['type']>({ events }: EndedRun, type: T) =>
  events.filter((event): event is Extract<EndedRun['events'][number], { type: T }> => event.type === type);
