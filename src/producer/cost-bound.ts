import { NO_POLICY, type PolicySet, judgementMetrics } from '../gates/load-policy.ts';
import { usdOf } from '../shared/call-ledger.ts';
import type { Definitions } from '../shared/definitions.ts';
import { FleetError } from '../shared/errors.ts';
import { knownInstances } from '../shared/instance-limits.ts';
import { type ModelConfig, contextTokensOf, priceOf } from '../shared/model-config.ts';
import { findPersona } from '../shared/persona-files.ts';
import { type PlannedPhase, type RunPlan, isReplayedRun, isSimulatedRun } from '../shared/run-record.ts';
import type { Budget } from '../shared/workflow-schema.ts';
import { CALLS_OF_TURN, NOTES_OF_TURN, NOTE_TOKENS, worstMicrosWithin } from '../shared/worst-case.ts';

/** The most that some calls can come to. A sum of null is not known, or too large to be counted exactly. */
export interface Most {
  calls: number | null;
  /** Sent and received. */
  tokens: number | null;
  /** Millionths of a dollar; null also when the price of a model is not known. */
  micros: number | null;
  usd: number | null;
}

export interface PhaseBound {
  phase: string;
  /** How many instances it has: 1 for a phase that is not repeated, null while its list is not known. */
  instances: number | null;
  /** Of the phase, or of each instance. */
  rounds: number;
  /** Whom it asks in each round: those who work, and those who review. */
  personas: string[];
  reviewers: string[];
  /** The models that may be asked. */
  models: string[];
  each: Most;
  /** All of its instances together; null while their number is not known. */
  most: Most | null;
}

export interface BudgetFit {
  scope: 'run' | 'workflow_day' | 'fleet_day';
  unit: 'usd' | 'tokens';
  limit: number;
  /** Whether the most that the run can use is within the limit; null when that is not known. */
  fits: boolean | null;
}

/** The most a plan can cost within its declared limits, each call at the worst case that is set aside for it. */
export interface CostBound {
  currency: 'USD';
  /** The price of every model that may be bought from, by the day it was read; null when nobody has entered one. */
  prices: { model: string; asOf: string | null }[];
  phases: PhaseBound[];
  /** The phases whose number of instances is not known; `known` is the sum of the others. */
  unknown: string[];
  known: Most;
  /** All phases together; null while the instances of one of them are not known. */
  most: Most | null;
  budgets: BudgetFit[];
}

interface Counted {
  calls: bigint;
  tokens: bigint;
  micros: bigint | null;
}
const NOTHING: Counted = { calls: 0n, tokens: 0n, micros: 0n };
const plus = (a: Counted, b: Counted): Counted => ({
  calls: a.calls + b.calls,
  tokens: a.tokens + b.tokens,
  micros: a.micros === null || b.micros === null ? null : a.micros + b.micros,
});
const times = (many: number, { calls, tokens, micros }: Counted): Counted => ({
  calls: BigInt(many) * calls,
  tokens: BigInt(many) * tokens,
  micros: micros === null ? null : BigInt(many) * micros,
});

const exactly = (count: bigint | null): number | null =>
  count === null || count > BigInt(Number.MAX_SAFE_INTEGER) ? null : Number(count);

function mostOf({ calls, tokens, micros }: Counted): Most {
  const exact = exactly(micros);
  return { calls: exactly(calls), tokens: exactly(tokens), micros: exact, usd: exact === null ? null : usdOf(exact) };
}

interface Planned {
  plan: RunPlan;
  definitions: Definitions;
  policySet: PolicySet;
  models: ModelConfig;
}

/** The most that a run of a plan can cost in one go; taking it up again begins a new count. */
export function costBound(of: Planned): CostBound {
  const { plan, models } = of;
  let known = NOTHING;
  const phases = plan.phases.map((phase): PhaseBound => {
    const each = phaseCounted(of, phase);
    const instances = knownInstances(phase.repeat?.lists);
    const all = instances === null ? null : times(instances, each);
    if (all !== null) known = plus(known, all);
    return {
      phase: phase.name,
      instances,
      rounds: phase.rework + 1,
      personas: phase.personas,
      reviewers: reviewersOf(of, phase),
      models: modelsOf(phase),
      each: mostOf(each),
      most: all === null ? null : mostOf(all),
    };
  });
  const unknown = phases.flatMap(({ phase, most }) => (most === null ? [phase] : []));
  const asked = isBought(plan) ? [...new Set(phases.flatMap((phase) => phase.models))] : [];
  return {
    currency: 'USD',
    prices: asked.map((model) => ({ model, asOf: priceOf(models, model)?.asOf ?? null })),
    phases,
    unknown,
    known: mostOf(known),
    most: unknown.length === 0 ? mostOf(known) : null,
    budgets: [
      ...fitsOf('run', plan.budget, known, unknown),
      ...fitsOf('workflow_day', plan.dayBudget, known, unknown),
      ...fitsOf('fleet_day', models.budgets?.perDay, known, unknown),
    ],
  };
}

const isBought = (plan: RunPlan): boolean => !isSimulatedRun(plan) && !isReplayedRun(plan);

const modelsOf = ({ model, fallback }: PlannedPhase): string[] => [
  model,
  ...(fallback === undefined ? [] : [fallback]),
];

const reviewersOf = ({ policySet }: Planned, { policy }: PlannedPhase): string[] => [
  ...new Set(judgementMetrics(policySet, policy ?? NO_POLICY).reviews.map(({ reviewer }) => reviewer)),
];

/** One phase, or one instance of it: in every round each persona works and each reviewer judges, in a conversation each. */
function phaseCounted(of: Planned, phase: PlannedPhase): Counted {
  const talks = [...phase.personas, ...reviewersOf(of, phase)].map((persona) => talkCounted(of, phase, persona));
  return times(phase.rework + 1, talks.reduce(plus, NOTHING));
}

/** One conversation. An attempt may have to begin it anew, so each has all of its turns. */
function talkCounted({ plan, definitions, models }: Planned, phase: PlannedPhase, name: string): Counted {
  const persona = findPersona(definitions.personas, name);
  if (persona === undefined) throw new FleetError('INTERNAL', `the run's definitions hold no persona "${name}"`);
  const of = { simulated: isSimulatedRun(plan), replayed: isReplayedRun(plan) };
  const dearest = (maxTokens: number): Counted => {
    const each = modelsOf(phase).map((model) => {
      const window = contextTokensOf(models, model);
      return { window, micros: worstMicrosWithin(window, maxTokens, { ...of, price: priceOf(models, model) }) };
    });
    const costs = each.map(({ micros }) => micros);
    return {
      calls: 1n,
      tokens: BigInt(Math.max(...each.map(({ window }) => window))),
      micros: costs.includes(null) ? null : BigInt(Math.max(...costs.map(Number))),
    };
  };
  const { maxTurns, maxTokensPerTurn } = persona;
  // There is nothing to sum up before the first answer.
  const call = times(1 + (maxTurns - 1) * CALLS_OF_TURN, dearest(maxTokensPerTurn));
  const note = times((maxTurns - 1) * NOTES_OF_TURN, dearest(Math.min(maxTokensPerTurn, NOTE_TOKENS)));
  return times(phase.attempts, plus(call, note));
}

function fitsOf(
  scope: BudgetFit['scope'],
  budget: Budget | undefined,
  known: Counted,
  unknown: readonly string[],
): BudgetFit[] {
  const fits = (limit: number, most: bigint | null): boolean | null => {
    if (most === null) return null;
    if (most > BigInt(limit)) return false;
    return unknown.length === 0 ? true : null;
  };
  const { usd, tokens } = budget ?? {};
  return [
    ...(usd === undefined
      ? []
      : [{ scope, unit: 'usd', limit: usd, fits: fits(Math.floor(usd * 1_000_000), known.micros) } as const]),
    ...(tokens === undefined
      ? []
      : [{ scope, unit: 'tokens', limit: tokens, fits: fits(tokens, known.tokens) } as const]),
  ];
}
