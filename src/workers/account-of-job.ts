import type { CallPlace } from '../shared/call-ledger.ts';
import { type RunPlan, spendKindOf } from '../shared/run-record.ts';
import { RunAccount } from './models/budget.ts';
import type { WorkerContext } from './worker-context.ts';

/** The account that the calls of one conversation are made on, with every limit that holds for them now. */
export async function accountFor(
  ctx: Pick<WorkerContext, 'store' | 'redis' | 'config' | 'models'>,
  plan: RunPlan,
  place: Omit<CallPlace, 'workflow'>,
): Promise<RunAccount> {
  const run = (await ctx.store.getStanding(plan.runId))?.budget ?? plan.budget;
  return new RunAccount({
    redis: ctx.redis,
    prefix: ctx.config.prefix,
    runId: plan.runId,
    limits: { run, workflowDay: plan.dayBudget, fleetDay: ctx.models.budgets?.perDay },
    place: { workflow: plan.workflow, ...place },
    kind: spendKindOf(plan),
  });
}
