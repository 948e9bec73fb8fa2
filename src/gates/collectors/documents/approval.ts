import type { Approval } from '../../../shared/handoff.ts';
import type { Evidence } from '../../../shared/verdict.ts';
import type { CollectContext } from '../../collector.ts';
import { type Reading, defineCollector, finding, notEvaluable } from './define-collector.ts';

const DEFAULT_ROLE = 'stakeholder';

const roleOf = (context: CollectContext, metric: string): string => context.metrics[metric]?.role ?? DEFAULT_ROLE;

/** The last decision per phase; of two at the same moment, the one recorded later. */
function latestPerPhase(approvals: readonly Approval[]): Approval[] {
  const latest = new Map<string, Approval>();
  for (const approval of approvals) {
    const known = latest.get(approval.phase);
    if (known === undefined || Date.parse(approval.at) >= Date.parse(known.at)) latest.set(approval.phase, approval);
  }
  return [...latest.values()];
}

const evidenceOf = (approval: Approval): Evidence => ({
  kind: 'approval',
  summary: `${approval.by} (${approval.role}) ${approval.decision} ${approval.phase} at ${approval.at}${approval.simulated ? ', simulated' : ''}`,
});

function reading(metric: string, value: number, decisions: readonly Approval[]): Reading {
  return {
    value: {
      value,
      examined: decisions.length,
      source: 'approval',
      simulated: decisions.some((approval) => approval.simulated),
      evidence: decisions.map(evidenceOf),
    },
    findings: decisions
      .filter((approval) => approval.decision === 'rejected')
      .map((approval) =>
        finding(
          metric,
          'approval/rejected',
          `${approval.by} (${approval.role}) rejected ${approval.phase}: ${approval.note || 'no reason given'}`,
        ),
      ),
  };
}

const noDecision = (metric: string, role: string): Reading =>
  notEvaluable(
    metric,
    'approval/none',
    `no recorded approval: a ${role} has to decide, with "maestro approve RUN PHASE --role ${role} --by NAME"`,
  );

/** 1 only when the latest decision of the role on this round of this phase is an approval. */
function approved(context: CollectContext, metric: string): Reading {
  const role = roleOf(context, metric);
  const [latest] = latestPerPhase(
    context.run.approvals.filter(
      (approval) => approval.role === role && approval.phase === context.phase && approval.round === context.run.round,
    ),
  );
  return latest === undefined
    ? noDecision(metric, role)
    : reading(metric, latest.decision === 'approved' ? 1 : 0, [latest]);
}

/** The share of phases, among those the role decided on, whose latest decision is an approval. */
function satisfaction(context: CollectContext, metric: string): Reading {
  const role = roleOf(context, metric);
  const decisions = latestPerPhase(context.run.approvals.filter((approval) => approval.role === role));
  if (decisions.length === 0) return noDecision(metric, role);
  const share = decisions.filter((approval) => approval.decision === 'approved').length / decisions.length;
  return reading(metric, share, decisions);
}

/** Reads recorded decisions of people; nothing else makes an approval. */
export const approvalCollector = defineCollector({
  id: 'approval',
  version: '1',
  timeoutMs: 5000,
  prepare: () => Promise.resolve(undefined),
  measures: {
    stakeholder_approval: (_, context, metric) => approved(context, metric),
    stakeholder_notification: (_, context, metric) => approved(context, metric),
    stakeholder_satisfaction: (_, context, metric) => satisfaction(context, metric),
    customer_satisfaction: (_, __, metric) =>
      notEvaluable(metric, 'approval/no-rating', 'an approval carries no rating, and no customer survey is connected'),
  },
});
