import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type CallPlace, type LedgerCall, usdOf } from '../../shared/call-ledger.ts';
import { FleetError } from '../../shared/errors.ts';
import type { Redis } from '../../shared/redis.ts';
import { runKey } from '../../shared/run-keys.ts';
import { NO_USAGE, type Usage } from '../../shared/run-record.ts';
import { type SpendKind, dayKey, dayOf, phaseTotals } from '../../shared/spend-days.ts';
import type { Budget } from '../../shared/workflow-schema.ts';
import { type CostTerms, type WorstCase, worstMicros } from '../../shared/worst-case.ts';
import { RESERVE, SETTLE, STANDING } from './budget-scripts.ts';
import type { CallRecord } from './call-record.ts';

const Count = z.coerce.number().int().default(0);
const Fields = z.object({
  spentTokens: Count,
  spentMicros: Count,
  reservedTokens: Count,
  reservedMicros: Count,
  calls: Count,
  simulatedCalls: Count,
  unpricedCalls: Count,
  unknownCalls: Count,
});

/** Where a run's account stands. */
export interface AccountTotals {
  tokens: number;
  reservedTokens: number;
  /** Null when a call was made whose price nobody knows. */
  usd: number | null;
  reservedUsd: number;
  calls: number;
  /** How many of the calls were answered by a stand-in, at no cost. */
  simulatedCalls: number;
  /** Calls that broke off: what they cost is not known, so their worst case is counted. */
  unknownCalls: number;
}

/** What a call is made for, as far as its price and its place in the ledger depend on it. */
export interface CallTerms extends CostTerms {
  model: string;
  host: string;
  turn: number;
  attempt: number;
}

/** What may be spent: by the run in all, and in a day (UTC) by all runs of its workflow and by the whole fleet. */
export interface SpendLimits {
  run: Budget;
  workflowDay?: Budget | undefined;
  fleetDay?: Budget | undefined;
}

/** A reservation: when it was made, what tells it from an older one of the same id, and the call at its worst. */
interface Open {
  day: string;
  nonce: string;
  worst: LedgerCall;
}

const MICRO = 1_000_000;
/** A cost in whole millionths; the fraction that is added first takes away the dust of binary fractions. */
const rounded = (usd: number): number => Math.round(usd * MICRO + 1e-7);

const SCOPES = {
  run: 'the budget of the run',
  workflow: "the workflow's budget of the day",
  fleet: "the fleet's budget of the day",
} as const;
const REMEDIES = {
  run: 'Raise it and let the run go on: `maestro resume RUN --budget-usd N` or `--budget-tokens N`.',
  workflow:
    'Raise `budget.perDay` of the workflow for new runs, or let the run go on tomorrow (UTC) with `maestro resume RUN`.',
  fleet:
    'Raise `budgets.perDay` in config/models.yaml, or let the run go on tomorrow (UTC): then `maestro resume RUN`.',
} as const;

const Reserved = z.union([
  z.tuple([z.enum(['ok', 'again']), z.string()]),
  z.tuple([
    z.literal('full'),
    z.enum(['run', 'workflow', 'fleet']),
    z.enum(['Tokens', 'Micros']),
    z.coerce.number(),
    z.coerce.number(),
  ]),
]);

const limitArgs = (budget: Budget = {}): [string, string] => [
  budget.tokens === undefined ? '' : String(budget.tokens),
  budget.usd === undefined ? '' : String(Math.floor(budget.usd * MICRO)),
];

/**
 * The account of a run, and with it the accounts of the day, shared by all workers through Redis. The worst case of a
 * call is reserved before the call and settled after it, in one step for all three accounts, so workers that call at the
 * same moment do not pass a limit together. It is kept as far as the worst case is one: new text is estimated (see
 * `worstCaseOf`), and a call that used more is counted in full, so that the next one is refused. Every settled call stands in the run's ledger.
 */
export class RunAccount {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #runId: string;
  readonly #limits: SpendLimits;
  readonly #place: CallPlace;
  readonly #kind: SpendKind;
  readonly #now: () => Date;
  /** What this conversation has set aside: the day, and how the call is noted when nobody learns what it used. */
  readonly #open = new Map<string, Open>();

  constructor(options: {
    redis: Redis;
    prefix: string;
    runId: string;
    limits: SpendLimits;
    place: CallPlace;
    kind: SpendKind;
    now?: () => Date;
  }) {
    this.#redis = options.redis;
    this.#prefix = options.prefix;
    this.#runId = options.runId;
    this.#limits = options.limits;
    this.#place = options.place;
    this.#kind = options.kind;
    this.#now = options.now ?? (() => new Date());
  }

  #keys(today: string, closing: string): string[] {
    const ofDay = (day: string): [string, string] => [
      dayKey(this.#prefix, this.#kind, day, this.#place.workflow),
      dayKey(this.#prefix, this.#kind, day),
    ];
    const [account, ledger] = [
      runKey(this.#prefix, this.#runId, 'account'),
      runKey(this.#prefix, this.#runId, 'calls'),
    ];
    return [account, ledger, ...ofDay(today), ...ofDay(closing)];
  }

  /**
   * Sets the worst case of a call aside. Throws `BUDGET_EXCEEDED` when the call could pass a limit.
   * The id names the call and is the same when the call is made again: a reservation that a killed worker left
   * behind is then counted as spent.
   */
  async reserve(id: string, worst: WorstCase, terms: CallTerms): Promise<void> {
    const cost = worstMicros(worst, terms);
    this.#assertPriced(cost, terms.model);
    const tokens = worst.inputTokens + worst.outputTokens;
    const now = this.#now();
    const day = dayOf(now);
    const nonce = randomUUID();
    const call = this.#worstCall(worst, terms, { cost, at: now.toISOString() });
    const open = JSON.stringify({ nonce, tokens, micros: cost ?? 0, day, call });
    const { run, workflowDay, fleetDay } = this.#limits;
    const limits = [...limitArgs(run), ...limitArgs(workflowDay), ...limitArgs(fleetDay)];
    for (let closing = day; ;) {
      const reply = Reserved.parse(
        await RESERVE.run(this.#redis, this.#keys(day, closing), [id, open, closing, ...limits]),
      );
      if (reply[0] === 'ok') break;
      if (reply[0] === 'full') throw exceeded(reply, { tokens, cost, model: terms.model });
      closing = reply[1];
    }
    this.#open.set(id, { day, nonce, worst: call });
  }

  #assertPriced(cost: number | null, model: string): void {
    const { run, workflowDay, fleetDay } = this.#limits;
    if (cost !== null || [run, workflowDay, fleetDay].every((limit) => limit?.usd === undefined)) return;
    throw new FleetError('BAD_INPUT', `the run has a budget in dollars, but the price of ${model} is not known`, {
      remedy: 'Fill in its price in config/models.yaml, or give the budget in tokens.',
    });
  }

  #worstCall(worst: WorstCase, terms: CallTerms, of: { cost: number | null; at: string }): LedgerCall {
    const { model, host, turn, attempt, simulated, replayed = false } = terms;
    return {
      ...this.#place,
      at: of.at,
      turn,
      attempt,
      model,
      answeredBy: null,
      host,
      requestId: null,
      outcome: 'unknown',
      inputTokens: worst.inputTokens,
      outputTokens: worst.outputTokens,
      cacheReadTokens: 0,
      cacheWriteTokens: 0,
      thinkingTokens: 0,
      repeatTokens: 0,
      repeatCachedTokens: 0,
      micros: of.cost,
      latencyMs: 0,
      simulated,
      replayed,
    };
  }

  /**
   * Replaces a reservation by what the provider counted. `before`: the last call of the same conversation, whose request
   * this one has repeated.
   */
  async settle(id: string, record: CallRecord, before?: CallRecord): Promise<void> {
    const open = this.#open.get(id);
    if (open === undefined) return;
    const { usage } = record;
    const sent = usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens;
    const repeatTokens = Math.min(before === undefined ? 0 : promptTokens(before), sent);
    await this.#close(id, open, {
      ...open.worst,
      ...endedAs(record),
      outcome: record.outcome,
      inputTokens: usage.inputTokens,
      outputTokens: usage.outputTokens,
      cacheReadTokens: usage.cacheReadTokens,
      cacheWriteTokens: usage.cacheWriteTokens,
      thinkingTokens: record.thinkingTokens ?? 0,
      repeatTokens,
      repeatCachedTokens: Math.min(repeatTokens, usage.cacheReadTokens),
      micros: usage.costUsd === null ? null : rounded(usage.costUsd),
    });
  }

  /** A call that broke off after it had begun: what it cost is not known, so its worst case stays counted. */
  async settleUnknown(id: string, record: CallRecord): Promise<void> {
    const open = this.#open.get(id);
    if (open === undefined) return;
    await this.#close(id, open, { ...open.worst, ...endedAs(record) });
  }

  async #close(id: string, { day, nonce }: Open, call: LedgerCall): Promise<void> {
    this.#open.delete(id);
    await SETTLE.run(this.#redis, this.#keys(day, day), [id, nonce, JSON.stringify(call)]);
  }

  /** Whether any budget holds for its calls. */
  get isLimited(): boolean {
    const { run, workflowDay = {}, fleetDay = {} } = this.#limits;
    return [run, workflowDay, fleetDay].some(({ usd, tokens }) => usd !== undefined || tokens !== undefined);
  }

  /** Throws `BUDGET_EXCEEDED` when so much cannot be set aside now; sets nothing aside. */
  async assertFree(wanted: { tokens: number; micros: number }, whatFor: string): Promise<void> {
    const [account = '', , workflow = '', fleet = ''] = this.#keys(dayOf(this.#now()), '');
    const read = z.array(z.coerce.number()).parse(await STANDING.run(this.#redis, [account, workflow, fleet], []));
    const limits = [this.#limits.run, this.#limits.workflowDay, this.#limits.fleetDay];
    for (const [index, scope] of (['run', 'workflow', 'fleet'] as const).entries()) {
      const [spentTokens = 0, reservedTokens = 0, spentMicros = 0, reservedMicros = 0] = read.slice(index * 4);
      const { tokens, usd } = limits[index] ?? {};
      const takenTokens = spentTokens + reservedTokens;
      if (tokens !== undefined && takenTokens + wanted.tokens > tokens)
        throw exceededBy(
          scope,
          `${whatFor} may use ${wanted.tokens} tokens, and ${takenTokens} of ${tokens} are spent or set aside`,
          {},
        );
      const takenMicros = spentMicros + reservedMicros;
      if (usd !== undefined && takenMicros + wanted.micros > usd * MICRO)
        throw exceededBy(
          scope,
          `${whatFor} may cost $${usdOf(wanted.micros)}, and $${usdOf(takenMicros)} of $${usd} are spent or set aside`,
          {},
        );
    }
  }

  async totals(): Promise<AccountTotals> {
    const fields = Fields.parse(await this.#redis.hgetall(runKey(this.#prefix, this.#runId, 'account')));
    return {
      tokens: fields.spentTokens,
      reservedTokens: fields.reservedTokens,
      usd: fields.unpricedCalls > 0 ? null : fields.spentMicros / MICRO,
      reservedUsd: fields.reservedMicros / MICRO,
      calls: fields.calls,
      simulatedCalls: fields.simulatedCalls,
      unknownCalls: fields.unknownCalls,
    };
  }

  /** What the provider has counted for the phase of this conversation so far, over all its personas and attempts. */
  async phaseUsage(): Promise<Usage> {
    const fields = await this.#redis.hgetall(runKey(this.#prefix, this.#runId, 'account'));
    const { calls, inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, costUsd } = phaseTotals(
      fields,
      this.#place.phase,
    );
    return { ...NO_USAGE, calls, inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, costUsd };
  }
}

const promptTokens = ({ usage }: CallRecord): number =>
  usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens;

const endedAs = (record: CallRecord) => ({
  at: new Date(Date.parse(record.startedAt) + record.latencyMs).toISOString(),
  answeredBy: record.modelAnswered,
  requestId: record.requestId,
  latencyMs: record.latencyMs,
  simulated: record.simulated,
  replayed: record.replayed ?? false,
});

function exceeded(
  [, scope, kind, taken, most]: Extract<z.infer<typeof Reserved>, ['full', ...unknown[]]>,
  { tokens, cost, model }: { tokens: number; cost: number | null; model: string },
): FleetError {
  const inWords =
    kind === 'Tokens'
      ? `${taken} of ${most} tokens are spent or set aside, and the next call may use ${tokens}`
      : `$${usdOf(taken)} of $${usdOf(most)} are spent or set aside, and the next call may cost $${usdOf(cost ?? 0)}`;
  const details = { limit: kind === 'Tokens' ? 'tokens' : 'usd', taken, wantedTokens: tokens, wantedMicros: cost };
  return exceededBy(scope, `it does not allow another call to ${model}: ${inWords}`, details);
}

const exceededBy = (scope: keyof typeof SCOPES, why: string, details: Record<string, unknown>): FleetError =>
  new FleetError('BUDGET_EXCEEDED', `${SCOPES[scope]} is used up: ${why}`, {
    remedy: REMEDIES[scope],
    details: { ...details, scope },
  });
