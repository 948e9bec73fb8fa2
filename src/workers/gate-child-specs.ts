import type { judgementMetrics } from '../gates/load-policy.ts';
import type { GateJob } from '../shared/jobs.ts';
import { QUEUES, type RunTake, jobIds, personaQueue } from '../shared/names.ts';
import { type BlobRef, type CommitRef, type PlannedPhase, type RunPlan, priorityOf } from '../shared/run-record.ts';
import type { ChildSpec } from './gate-handle.ts';

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
  simulated: plan.provider === 'scripted',
});
const takeOf = ({ plan, generation }: Of): RunTake => ({ runId: plan.runId, generation });
const mark = (plan: RunPlan): string => (plan.provider === 'scripted' ? ' [simulated]' : '');

/** The persona jobs of a rework round, going on from the blocked work with its findings. */
export const reworkChildren = (of: Of, base: CommitRef | null, evidence: BlobRef | null): ChildSpec[] =>
  of.phase.personas.map((persona) => ({
    queue: personaQueue(persona),
    name: `${of.phase.name}: ${persona} rework ${of.round}${mark(of.plan)}`,
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
