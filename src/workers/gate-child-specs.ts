import type { judgementMetrics } from '../gates/load-policy.ts';
import type { GateJob, PhaseStart } from '../shared/jobs.ts';
import { QUEUES, type RunTake, jobIds, personaQueue } from '../shared/names.ts';
import {
  type BlobRef,
  type CommitRef,
  type PlannedPhase,
  type RunPlan,
  priorityOf,
  isReplayedRun,
  isSimulatedRun,
  originMark,
} from '../shared/run-record.ts';
import type { ChildSpec } from './gate-handle.ts';

/** Gate jobs say why when they cannot be judged. */
const GATE_ATTEMPTS = 6;

type Judgements = ReturnType<typeof judgementMetrics>;
interface Of {
  plan: RunPlan;
  generation: number;
  phase: PlannedPhase;
  round: number;
}

const common = ({ plan, generation }: Of): Pick<GateJob, 'schemaVersion' | 'runId' | 'generation' | 'simulated'> => ({
  schemaVersion: 1,
  runId: plan.runId,
  generation,
  simulated: isSimulatedRun(plan),
});
const takeOf = ({ plan, generation }: Of): RunTake => ({ runId: plan.runId, generation });
const mark = (plan: RunPlan): string => originMark({ simulated: isSimulatedRun(plan), replayed: isReplayedRun(plan) });

/** The gate job of an instance of a repeated phase, with its persona jobs below it. */
export function instanceChildren(of: Omit<Of, 'round'>, start: PhaseStart): ChildSpec {
  const { plan, phase } = of;
  const { round, base, evidence, given, done } = start;
  const working = phase.personas.filter((persona) => !done.some((result) => result.persona === persona));
  return {
    queue: QUEUES.gates,
    name: `${phase.name} gate${mark(plan)}`,
    jobId: jobIds.gate(takeOf({ ...of, round }), phase.name),
    data: { ...common({ ...of, round }), phase: phase.name, places: true, given, done, measured: null },
    attempts: GATE_ATTEMPTS,
    ...priorityOf(plan),
    children: given === null ? workChildren({ ...of, round }, working, { base, evidence }) : [],
  };
}

/** The persona jobs of a round. */
const workChildren = (
  of: Of,
  personas: readonly string[],
  { base, evidence }: Pick<PhaseStart, 'base' | 'evidence'>,
): ChildSpec[] =>
  personas.map((persona) => ({
    queue: personaQueue(persona),
    name: `${of.phase.name}: ${persona}${of.round === 0 ? '' : ` rework ${of.round}`}${mark(of.plan)}`,
    jobId: jobIds.work(takeOf(of), of.phase.name, persona, of.round),
    data: {
      ...common(of),
      phase: of.phase.name,
      persona,
      kind: 'work',
      round: of.round,
      metrics: [],
      base,
      evidence,
    },
    attempts: of.phase.attempts,
    ...priorityOf(of.plan),
  }));

/** The persona jobs of a rework round, going on from the blocked work with its findings. */
export const reworkChildren = (of: Of, base: CommitRef | null, evidence: BlobRef | null): ChildSpec[] =>
  workChildren(of, of.phase.personas, { base, evidence });

/** One review job per reviewer persona, with all the metrics it is asked about. */
export function reviewChildren(of: Of, reviews: Judgements['reviews'], base: CommitRef): ChildSpec[] {
  const reviewers = [...new Set(reviews.map((review) => review.reviewer))].toSorted();
  return reviewers.map((persona) => ({
    queue: personaQueue(persona),
    name: `${of.phase.name}: review by ${persona}${mark(of.plan)}`,
    jobId: jobIds.review(takeOf(of), of.phase.name, persona, of.round),
    data: {
      ...common(of),
      phase: of.phase.name,
      persona,
      kind: 'review',
      round: of.round,
      metrics: reviews.filter((review) => review.reviewer === persona).map((review) => review.metric),
      base,
      evidence: null,
    },
    attempts: of.phase.attempts,
    ...priorityOf(of.plan),
  }));
}

/** A job per role, which parks itself: it holds no worker while a person makes up their mind. */
export const approvalChildren = (of: Of, roles: readonly string[]): ChildSpec[] =>
  roles.map((role) => ({
    queue: QUEUES.approvals,
    name: `${of.phase.name}: approval by ${role}${mark(of.plan)}`,
    jobId: jobIds.approval(takeOf(of), of.phase.name, role, of.round),
    data: { ...common(of), phase: of.phase.name, role, round: of.round },
    attempts: 10,
    ...priorityOf(of.plan),
  }));
