import Table from 'cli-table3';
import type { BudgetFit, CostBound, Most, PhaseBound } from './cost-bound.ts';

const UNCOUNTED = 'too many to count exactly';
const number = (count: number | null): string => (count === null ? UNCOUNTED : String(count));

/** The cost bound of a plan as `maestro plan` shows it. */
export function costBoundAsText(bound: CostBound): string[] {
  const unpriced = bound.prices.flatMap(({ model, asOf }) => (asOf === null ? [model] : []));
  const usd = ({ usd: cost }: Most, models: readonly string[]): string => {
    if (cost !== null) return `$${cost.toFixed(6)}`;
    return models.some((model) => unpriced.includes(model)) ? 'unknown: no price' : UNCOUNTED;
  };
  const cells = (most: Most, models: readonly string[], more = ''): string[] =>
    [number(most.calls), number(most.tokens), usd(most, models)].map((cell) => `${cell}${more}`);
  const table = new Table({
    head: ['at most', 'rounds', 'calls', 'tokens', 'cost'],
    colAligns: ['left', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  });
  for (const phase of bound.phases)
    table.push([
      `${phase.phase}${times(phase)}`,
      phase.rounds,
      ...cells(phase.most ?? phase.each, phase.models, phase.most === null ? ' each' : ''),
    ]);
  const counted = bound.phases.filter(({ most }) => most !== null).flatMap(({ models }) => models);
  table.push([bound.most === null ? 'in all, without those not known' : 'in all', '', ...cells(bound.known, counted)]);
  return [
    table.toString(),
    ...unknownLines(bound),
    ...pricesLine(bound, unpriced),
    ...budgetLines(bound, unpriced),
    'Each call is counted at the worst case that is set aside for it, in all turns of all attempts. A call that breaks off ' +
      'is made again and comes on top, counted against the budgets.',
  ];
}

const times = ({ instances }: PhaseBound): string => {
  if (instances === null) return ' x ?';
  return instances === 1 ? '' : ` x ${instances}`;
};

const unknownLines = ({ unknown }: CostBound): string[] =>
  unknown.length === 0
    ? []
    : [
        `unknown in all: how many instances ${unknown.join(', ')} will have is not known before the run; shown for each of them`,
      ];

function pricesLine({ prices }: CostBound, unpriced: readonly string[]): string[] {
  const priced = prices.flatMap(({ model, asOf }) => (asOf === null ? [] : [`${model} as of ${asOf}`]));
  return [
    ...(priced.length === 0 ? [] : [`prices: ${priced.join(', ')}`]),
    ...(unpriced.length === 0 ? [] : [`no price for ${unpriced.join(', ')}: fill it in in the model file`]),
    ...(prices.length === 0 ? ['nothing is bought: no real model is asked'] : []),
  ];
}

const SCOPES = {
  run: 'budget of the run',
  workflow_day: "the workflow's budget of a day",
  fleet_day: "the fleet's budget of a day",
} as const;

function budgetLines({ budgets }: CostBound, unpriced: readonly string[]): string[] {
  if (budgets.length === 0) return ['no budget applies: only the limits above bound what a run can cost'];
  return budgets.map((budget) => {
    const amount = budget.unit === 'usd' ? `$${budget.limit}` : `${budget.limit} tokens`;
    return `${SCOPES[budget.scope]}, ${amount}: ${fitText(budget, unpriced)}`;
  });
}

function fitText({ scope, unit, fits }: BudgetFit, unpriced: readonly string[]): string {
  if (fits === false) return 'the plan may need more; the run then ends blocked before the call that could pass it';
  if (fits === null)
    return unit === 'usd' && unpriced.length > 0
      ? 'not known whether the plan fits; without a price no call is made under it'
      : 'not known whether the plan fits';
  return scope === 'run' ? 'the plan fits' : 'the plan fits, if nothing else is spent that day';
}
