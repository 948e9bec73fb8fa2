import { FleetError } from '../shared/errors.ts';
import type { Approval } from '../shared/handoff.ts';
import { FRESH, type PhaseStart } from '../shared/jobs.ts';
import { type CommitRef, OPEN_PHASE, type PhaseRecord, type RunPlan } from '../shared/run-record.ts';
import { nearestHint } from '../shared/yaml-file.ts';

/** What is to be run again. */
export type TakeUp =
  /** All that did not pass, and what depends on it. */
  | { kind: 'rest' }
  /** One phase that did not pass, and what waited for it. */
  | { kind: 'phase'; phase: string }
  /** A phase, whether it passed or not, and everything after it. */
  | { kind: 'from'; phase: string };

/** A phase that is run again: its record as it begins, and where its jobs begin. */
export interface Restart {
  record: PhaseRecord;
  start: PhaseStart;
  /** Its work goes on in the round it was in; what of it is done need not be done again. */
  goesOn: boolean;
}

interface Known {
  plan: RunPlan;
  records: readonly PhaseRecord[];
  approvals: readonly Approval[];
}

/** The phases that a take-up runs again, in the order of the plan. Throws `CONFLICT` with the reason when there are none. */
export function phasesAgain({ plan, records }: Known, takeUp: TakeUp): string[] {
  const statusOf = new Map(records.map((record) => [record.phase, record.status]));
  const isDone = (name: string): boolean => {
    const status = statusOf.get(name);
    return status !== undefined && OPEN_PHASE.includes(status);
  };
  const instancesOf = (name: string): string[] =>
    plan.phases.filter(({ instance }) => instance?.of === name).map((phase) => phase.name);
  const below = (roots: readonly string[]): Set<string> => {
    const reached = new Set(roots);
    for (const phase of plan.phases) {
      const instances = instancesOf(phase.name);
      if ([...phase.needs, ...instances].some((name) => reached.has(name))) reached.add(phase.name);
    }
    return reached;
  };
  if (takeUp.kind === 'rest') {
    const rest = below(plan.phases.map((phase) => phase.name).filter((name) => !isDone(name)));
    if (rest.size === 0)
      throw new FleetError('CONFLICT', `every phase of run ${plan.runId} has passed; there is nothing to resume`, {
        remedy: 'To run phases that passed again, name the first: `maestro retry RUN --from PHASE`.',
      });
    return plan.phases.map((phase) => phase.name).filter((name) => rest.has(name));
  }
  const names = plan.phases.map((phase) => phase.name);
  const { phase } = takeUp;
  if (!names.includes(phase))
    throw new FleetError('NOT_FOUND', `run ${plan.runId} has no phase "${phase}"${nearestHint(phase, names)}`, {
      remedy: `Its phases are: ${names.join(', ')}.`,
    });
  if (takeUp.kind === 'phase' && isDone(phase))
    throw new FleetError('CONFLICT', `phase "${phase}" is ${statusOf.get(phase)}; there is nothing to retry`, {
      remedy: `To run it and all after it again: \`maestro retry RUN --from ${phase}\`.`,
    });
  const again = below([phase, ...instancesOf(phase)]);
  const closed = (plan.phases.find((planned) => planned.name === phase)?.needs ?? []).filter((need) => !isDone(need));
  if (closed.length > 0)
    throw new FleetError('CONFLICT', `phase "${phase}" needs ${closed.join(', ')}, which did not pass`, {
      remedy: 'Retry what it needs first, or resume the whole run.',
    });
  return names.filter((name) => again.has(name) && (takeUp.kind === 'from' || name === phase || !isDone(name)));
}

/** Whether somebody has decided on the work of the phase's last round. */
export const isDecidedOn = (record: PhaseRecord, { approvals }: Pick<Known, 'approvals'>): boolean =>
  approvals.some(({ phase, round }) => phase === record.phase && round === record.round);

/** Throws `CONFLICT` when edits to a phase would not be judged in their place. `again`: the phases that are run again. */
export function assertEditable({ plan, records }: Known, phase: string, again: readonly string[]): void {
  const retry = `\`maestro retry ${plan.runId} --from ${phase}\``;
  if (!again.includes(phase))
    throw new FleetError('CONFLICT', `phase "${phase}" is not run again, so edits to it change nothing`, {
      remedy: `To start again from it: ${retry} with the edits.`,
    });
  const planned = plan.phases.find(({ name }) => name === phase);
  const instances = plan.phases.filter(({ instance }) => instance?.of === phase).map(({ name }) => name);
  if (planned?.repeat !== undefined)
    throw new FleetError('CONFLICT', `phase "${phase}" is repeated over a list: its work is that of its instances`, {
      remedy: `Edit one of them: ${instances.join(', ')}.`,
    });
  const open = (planned?.needs ?? []).filter((need) => {
    const status = records.find((record) => record.phase === need)?.status;
    return again.includes(need) || status === undefined || !OPEN_PHASE.includes(status);
  });
  if (open.length > 0)
    throw new FleetError('CONFLICT', `phase "${phase}" needs ${open.join(', ')}, which must pass first`, {
      remedy: `Resume without edits until ${open.length === 1 ? 'it has' : 'they have'} passed, then ${retry} with the edits.`,
    });
}

/**
 * How a phase begins again.
 * - Blocked work is judged as it is first: what blocked it may have been mended from outside (by a person's edits, a
 *   bypass, a tool that was missing), and then no persona is paid for anything. If it is blocked still, rework begins.
 * - A fault or a cancel goes on in the round it broke off, with the conversation that was saved. Work that was given
 *   or decided on by somebody, and not judged yet, is judged.
 * - `isFresh`: begins anew, because what it builds on is made anew.
 */
export function restart(
  record: PhaseRecord,
  known: Pick<Known, 'approvals'>,
  of: { isFresh: boolean; edited: CommitRef | undefined; decidedOn: CommitRef | undefined },
): Restart {
  const { given: givenBefore, ...kept } = record;
  const judged = record.rounds.find((round) => round.round === record.round);
  const isDecided = isDecidedOn(record, known);
  const begun = { ...kept, status: 'waiting', reason: '', startedAt: null, finishedAt: null } as const;
  const anew = { ...begun, commit: null, bundle: null };
  const nextRound = record.round + 1;
  // What broke off before it was judged is not lost.
  const unjudged = isDecided ? of.decidedOn : record.round === record.firstRound ? givenBefore : undefined;
  const asItIs = judged === undefined ? unjudged : record.status === 'blocked' ? judged.candidate : undefined;
  const given = of.edited ?? (of.isFresh ? undefined : asItIs);
  if (given !== undefined)
    return {
      record: { ...anew, round: nextRound, firstRound: nextRound, given },
      start: { ...FRESH, round: nextRound, given },
      goesOn: false,
    };
  if (of.isFresh || judged !== undefined || isDecided) {
    const isUntouched = record.startedAt === null && judged === undefined;
    const round = isUntouched ? record.round : nextRound;
    return { record: { ...anew, round, firstRound: round, handoffs: {} }, start: { ...FRESH, round }, goesOn: false };
  }
  const before =
    record.round > record.firstRound ? record.rounds.find((round) => round.round === record.round - 1) : undefined;
  return {
    record: anew,
    start: { ...FRESH, round: record.round, base: before?.candidate ?? null, evidence: before?.evidence ?? null },
    goesOn: true,
  };
}
