import Table from 'cli-table3';
import type { BudgetStanding, FleetCosts, RunCosts } from '../../producer/api-cost-schemas.ts';
import { type CostSources, fleetCosts, runCosts } from '../../producer/cost-report.ts';
import type { CostTotals, LedgerCall } from '../../shared/call-ledger.ts';
import { EXIT, FleetError } from '../../shared/errors.ts';
import { originMark } from '../../shared/run-record.ts';
import { loadModelConfig } from '../../shared/model-config.ts';
import { type CommandContext, type Session, withSession } from '../session.ts';
import { count, cutTo } from '../text.ts';
import { modelsFileOf } from '../policies.ts';
import { parseRunId } from './run-id.ts';
import type { z } from 'zod';

export const COST_VIEWS = ['call', 'phase', 'persona', 'model', 'day', 'workflow'] as const;

interface CostFlags {
  by?: (typeof COST_VIEWS)[number];
  days: number;
  free?: boolean;
  json?: boolean;
}

/** `maestro costs [RUN]`: what calls to models have cost, of one run or of the whole fleet by day. */
export function costsCommand(context: CommandContext, id: string | undefined, flags: CostFlags): Promise<number> {
  const { terminal } = context;
  return withSession(context, { startRedis: false }, async (session) => {
    const sources = await costSourcesOf(context, session);
    if (id === undefined) {
      const by = flags.by ?? 'day';
      if (by === 'call' || by === 'phase')
        throw new FleetError('BAD_USAGE', `--by ${by} needs a run`, {
          remedy: `Give its id: maestro costs RUN --by ${by}.`,
        });
      const costs = await fleetCosts(sources, { kind: flags.free === true ? 'free' : 'paid', days: flags.days });
      terminal.out(flags.json === true ? JSON.stringify(costs, null, 2) : fleetText(costs, by));
      return EXIT.passed;
    }
    const costs = await runCosts(sources, parseRunId(id));
    terminal.out(flags.json === true ? JSON.stringify(costs, null, 2) : runText(costs, flags.by ?? 'phase'));
    return EXIT.passed;
  });
}

/** What a cost report is made from. */
export const costSourcesOf = async (
  context: CommandContext,
  { redis, store, config }: Session,
): Promise<CostSources> => ({
  redis,
  store,
  prefix: config.prefix,
  models: await loadModelConfig(modelsFileOf(context)),
});

const HEAD = ['calls', 'input', 'cache write', 'cache read', 'output', 'cost'];

const row = (key: string, totals: CostTotals): string[] => [
  key,
  String(totals.calls),
  String(totals.inputTokens),
  String(totals.cacheWriteTokens),
  String(totals.cacheReadTokens),
  String(totals.outputTokens),
  money(totals),
];

/** Millionths are shown in full: what is added up by hand comes to the same. */
const money = ({ costUsd, unpricedCalls }: Pick<CostTotals, 'costUsd' | 'unpricedCalls'>): string =>
  costUsd === null ? `unknown (${count(unpricedCalls, 'call')} without a price)` : `$${costUsd.toFixed(6)}`;

function table(first: string, rows: readonly string[][]): string {
  const drawn = new Table({
    head: [first, ...HEAD],
    colAligns: ['left', ...HEAD.map(() => 'right' as const)],
    style: { head: [], border: [], compact: true },
  });
  drawn.push(...rows.map((cells) => [cutTo(cells[0] ?? '', 40), ...cells.slice(1)]));
  return drawn.toString();
}

const NOT_RECORDED =
  'not recorded: the run called models before each call was recorded, and what they cost is not known';

/** What the numbers leave open, one line each; without numbers, that there are none. */
export function costNotes(totals: CostTotals | null): string[] {
  if (totals === null) return [NOT_RECORDED];
  const { unknownCalls, unknownTokens, unknownUsd, failedCalls, simulatedCalls, replayedCalls, cachedShare } = totals;
  return [
    ...(unknownCalls === 0
      ? []
      : [
          `${count(unknownCalls, 'call')} broke off and nobody was told what they used: at most ${unknownTokens} tokens and ` +
            `${unknownUsd === null ? 'an unknown sum' : `$${unknownUsd.toFixed(6)}`} more, counted against the budgets`,
        ]),
    ...(failedCalls === 0
      ? []
      : [`${count(failedCalls, 'call')} ${failedCalls === 1 ? 'was' : 'were'} refused, at no cost`]),
    ...(simulatedCalls === 0 ? [] : [`${count(simulatedCalls, 'call')} simulated: a stand-in answered, at no cost`]),
    ...(replayedCalls === 0 ? [] : [`${count(replayedCalls, 'call')} replayed from a recording, at no cost`]),
    ...(cachedShare === null ? [] : [cacheLine(totals, cachedShare)]),
  ];
}

const cacheLine = ({ repeatTokens, repeatCachedTokens }: CostTotals, share: number): string =>
  `${(share * 100).toFixed(1)}% of the input that was sent before came from the cache (${repeatCachedTokens} of ${repeatTokens} tokens)`;

function budgetLines(budgets: readonly z.infer<typeof BudgetStanding>[]): string[] {
  const names = { run: 'budget of the run', workflow_day: 'workflow today', fleet_day: 'fleet today' };
  return budgets.flatMap(({ scope, tokens, usd }) => [
    ...(usd.limit === null
      ? []
      : [`${names[scope]}: $${usd.spent.toFixed(6)} of $${usd.limit}, $${usd.reserved.toFixed(6)} set aside`]),
    ...(tokens.limit === null
      ? []
      : [`${names[scope]}: ${tokens.spent} of ${tokens.limit} tokens, ${tokens.reserved} set aside`]),
  ]);
}

/** The costs of a run as `maestro costs RUN` shows them. */
export function runText(costs: RunCosts, by: (typeof COST_VIEWS)[number]): string {
  const { runId, workflow, totals } = costs;
  const head = `run ${runId} of ${workflow}${originMark(costs)}`;
  if (!costs.recorded) return [head, ...costNotes(totals), ...budgetLines(costs.budgets)].join('\n');
  const groups = {
    phase: costs.byPhase,
    persona: costs.byPersona,
    model: costs.byModel,
    day: costs.byDay,
    workflow: [{ key: workflow, totals: costs.totals }],
  };
  const rows = by === 'call' ? costs.calls.map(callRow) : groups[by].map((group) => row(group.key, group.totals));
  return [
    head,
    table(by, [...rows, row('in all', costs.totals)]),
    ...costNotes(totals),
    ...budgetLines(costs.budgets),
  ].join('\n');
}

const callRow = (call: LedgerCall): string[] => [
  `${call.at.slice(11, 19)} ${call.phase} ${call.persona} ${call.turn}`,
  call.outcome,
  String(call.inputTokens),
  String(call.cacheWriteTokens),
  String(call.cacheReadTokens),
  String(call.outputTokens),
  `${call.outcome === 'unknown' ? 'at most ' : ''}${call.micros === null ? 'unknown' : `$${(call.micros / 1e6).toFixed(6)}`}`,
];

function fleetText(costs: FleetCosts, by: 'persona' | 'model' | 'day' | 'workflow'): string {
  if (costs.days.length === 0)
    return costs.kind === 'paid'
      ? 'no call to a real provider in these days; `--free` shows simulated and replayed ones'
      : 'no simulated or replayed call in these days';
  const parts = { persona: 'byPersona', model: 'byModel', workflow: 'byWorkflow' } as const;
  const rows = costs.days.flatMap((day) =>
    by === 'day'
      ? [row(day.day, day.totals)]
      : day[parts[by]].map((group) => row(`${day.day} ${group.key}`, group.totals)),
  );
  const notes = costs.days.flatMap(({ day, totals }) => costNotes(totals).map((note) => `${day}: ${note}`));
  return [table(by, rows), ...notes, ...budgetLines(costs.budgets)].join('\n');
}
