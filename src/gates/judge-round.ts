import type { Approval } from '../shared/handoff.ts';
import type { RoundEvidence } from '../shared/round-evidence.ts';
import { type PlannedPhase, type RunPlan, isReplayedRun, isSimulatedRun, replayedMark } from '../shared/run-record.ts';
import type { PhaseVerdict } from '../shared/verdict.ts';
import { evaluatePhase } from './evaluate.ts';
import { integrityErrors } from './integrity/verdict.ts';
import { NO_POLICY, type PolicySet } from './load-policy.ts';

/** What a verdict rests on beside the measurements: as it was at the moment of judging. */
export type JudgedWith = NonNullable<RoundEvidence['judgedWith']>;

/** What the `approval` of a phase is called among the errors of its verdict. */
export const APPROVAL = 'approval';

const refusal = (role: string, approval: Approval | undefined): string =>
  approval === undefined ? `no ${role} has approved it` : `${approval.by} (${role}) rejected it: ${approval.note}`;

/**
 * The verdict on one round of a phase. What the policy cannot see (merge conflicts, broken integrity, a refused approval)
 * blocks beside it. Pure: whoever has the plan, the policies and the evidence of a round reaches the same verdict.
 */
export function judgeRound(of: {
  policySet: PolicySet;
  plan: Pick<RunPlan, 'provider' | 'cassette'>;
  phase: Pick<PlannedPhase, 'name' | 'policy' | 'policyFallback' | 'approvalRole'>;
  evidence: RoundEvidence;
  judgedWith: JudgedWith;
}): PhaseVerdict {
  const { plan, phase, evidence, judgedWith } = of;
  const verdict = evaluatePhase({
    policySet: of.policySet,
    policy: phase.policy ?? NO_POLICY,
    phase: phase.name,
    fallback: phase.policyFallback,
    measurements: evidence.measurements,
    artifacts: evidence.artifacts,
    bypasses: { now: judgedWith.now, known: judgedWith.bypasses, broken: judgedWith.brokenBypassLog },
    baseline: judgedWith.baseline,
    work: evidence.work,
  });
  const role = phase.approvalRole;
  const approval = evidence.approvals.find((decision) => decision.role === role);
  const errors = [
    ...(judgedWith.conflicts ?? []).map((reason) => ({ metric: 'merge_conflict', reason })),
    ...integrityErrors(evidence.integrity),
    ...(role === null || approval?.decision === 'approved'
      ? []
      : [{ metric: APPROVAL, reason: refusal(role, approval) }]),
  ];
  const simulated = verdict.simulated || isSimulatedRun(plan);
  const origin = { simulated, ...replayedMark(isReplayedRun(plan)) };
  return errors.length === 0
    ? { ...verdict, ...origin }
    : { ...verdict, ...origin, verdict: 'blocked', errors: [...verdict.errors, ...errors] };
}
