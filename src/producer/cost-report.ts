import { costsBy, totalCosts, usdOf } from '../shared/call-ledger.ts';
import type { ModelConfig } from '../shared/model-config.ts';
import type { RunId } from '../shared/names.ts';
import type { Redis } from '../shared/redis.ts';
import { runKey } from '../shared/run-keys.ts';
import { readLedger } from '../shared/run-ledger.ts';
import { type RunPlan, spendKindOf } from '../shared/run-record.ts';
import type { RunStore } from '../shared/run-store.ts';
import { type SpendKind, dayKey, dayOf, readSpendDays } from '../shared/spend-days.ts';
import type { Budget } from '../shared/workflow-schema.ts';
import type { BudgetStanding, FleetCosts, RunCosts } from './api-cost-schemas.ts';
import type { z } from 'zod';

export interface CostSources {
  redis: Redis;
  prefix: string;
  store: RunStore;
  models: ModelConfig;
}

type Standing = z.infer<typeof BudgetStanding>;

/**
 * What a run has cost, from its ledger: every call, and the calls added up by what they were made for. Null where it
 * called models before there was a ledger.
 */
export async function runCosts(sources: CostSources, runId: RunId): Promise<RunCosts> {
  const { store } = sources;
  const [plan, run, calls] = await Promise.all([store.getPlan(runId), store.getRun(runId), readLedger(sources, runId)]);
  const common = {
    runId,
    workflow: plan.workflow,
    simulated: run.simulated || calls.some((call) => call.simulated),
    replayed: run.replayed === true || calls.some((call) => call.replayed),
    currency: 'USD' as const,
    budgets: await budgetsOf(sources, plan, run.budget ?? plan.budget),
  };
  // Its phases tell of calls that no ledger knows: a sum of nothing would read as exactly nothing.
  if (calls.length === 0 && run.usage.calls > 0)
    return {
      ...common,
      recorded: false,
      totals: null,
      byPhase: null,
      byPersona: null,
      byModel: null,
      byDay: null,
      calls: null,
    };
  return {
    ...common,
    recorded: true,
    totals: totalCosts(calls),
    byPhase: costsBy(calls, 'phase'),
    byPersona: costsBy(calls, 'persona'),
    byModel: costsBy(calls, 'model'),
    byDay: costsBy(calls, 'day'),
    calls,
  };
}

/** What the fleet has cost, day by day. */
export async function fleetCosts(
  { redis, prefix, models }: CostSources,
  of: { kind: SpendKind; days: number },
): Promise<FleetCosts> {
  const days = await readSpendDays(redis, prefix, of);
  return {
    kind: of.kind,
    currency: 'USD',
    days: days.map(({ day, totals, by }) => ({
      day,
      totals,
      byWorkflow: by.workflow,
      byPersona: by.persona,
      byModel: by.model,
    })),
    budgets: [await standing(redis, 'fleet_day', dayKey(prefix, of.kind, dayOf(new Date())), models.budgets?.perDay)],
  };
}

function budgetsOf(sources: CostSources, plan: RunPlan, ofRun: Budget): Promise<Standing[]> {
  const { redis, prefix, models } = sources;
  const kind = spendKindOf(plan);
  const today = dayOf(new Date());
  return Promise.all([
    standing(redis, 'run', runKey(prefix, plan.runId, 'account'), ofRun),
    standing(redis, 'workflow_day', dayKey(prefix, kind, today, plan.workflow), plan.dayBudget),
    standing(redis, 'fleet_day', dayKey(prefix, kind, today), models.budgets?.perDay),
  ]);
}

async function standing(
  redis: Redis,
  scope: Standing['scope'],
  key: string,
  limit: Budget | undefined,
): Promise<Standing> {
  const read = await redis.hmget(key, 'spentTokens', 'reservedTokens', 'spentMicros', 'reservedMicros');
  const [spentTokens = 0, reservedTokens = 0, spentMicros = 0, reservedMicros = 0] = read.map(Number);
  return {
    scope,
    tokens: { limit: limit?.tokens ?? null, spent: spentTokens, reserved: reservedTokens },
    usd: { limit: limit?.usd ?? null, spent: usdOf(spentMicros), reserved: usdOf(reservedMicros) },
  };
}
