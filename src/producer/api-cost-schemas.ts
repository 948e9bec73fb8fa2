import { z } from 'zod';
import { CostTotals, LedgerCall } from '../shared/call-ledger.ts';
import { Name, RunId } from '../shared/names.ts';

/** What crosses HTTP about costs. */

const Group = z.strictObject({ key: z.string(), totals: CostTotals });

const Limit = z.strictObject({
  /** The most; null when there is no limit. */
  limit: z.number().nullable(),
  spent: z.number(),
  /** Set aside for calls under way. */
  reserved: z.number(),
});
/** How an account stands against its limits. */
export const BudgetStanding = z.strictObject({
  scope: z.enum(['run', 'workflow_day', 'fleet_day']),
  tokens: Limit,
  usd: Limit,
});

const ofRun = {
  runId: RunId,
  workflow: Name,
  /** Whether a stand-in answered any of the calls, and whether the answers came from a recording. */
  simulated: z.boolean(),
  replayed: z.boolean(),
  currency: z.literal('USD'),
  budgets: z.array(BudgetStanding),
};
export const RunCosts = z.discriminatedUnion('recorded', [
  z.strictObject({
    ...ofRun,
    recorded: z.literal(true),
    totals: CostTotals,
    byPhase: z.array(Group),
    byPersona: z.array(Group),
    byModel: z.array(Group),
    byDay: z.array(Group),
    /** Every call, in the order in which they ended. */
    calls: z.array(LedgerCall),
  }),
  z
    .strictObject({
      ...ofRun,
      recorded: z.literal(false),
      totals: z.null(),
      byPhase: z.null(),
      byPersona: z.null(),
      byModel: z.null(),
      byDay: z.null(),
      calls: z.null(),
    })
    .describe('A run that called models before calls were recorded one by one: what they cost is not known'),
]);
export type RunCosts = z.infer<typeof RunCosts>;

export const CostsQuery = z.strictObject({
  /** How many days, today included. */
  days: z.coerce.number().int().min(1).max(400).default(30),
  /** `paid`: runs on a real provider; `free`: runs on the stand-in or a recording, which cost nothing. */
  kind: z.enum(['paid', 'free']).default('paid'),
});

export const FleetCosts = z.strictObject({
  kind: z.enum(['paid', 'free']),
  currency: z.literal('USD'),
  /** Newest first, days in UTC; those without a call are left out. */
  days: z.array(
    z.strictObject({
      day: z.iso.date(),
      totals: CostTotals,
      byWorkflow: z.array(Group),
      byPersona: z.array(Group),
      byModel: z.array(Group),
    }),
  ),
  /** What the fleet may spend today. */
  budgets: z.array(BudgetStanding),
});
export type FleetCosts = z.infer<typeof FleetCosts>;
