import { z } from 'zod';
import { FleetError } from '../../shared/errors.ts';
import { type Price, costOf } from '../../shared/model-config.ts';
import type { Redis } from '../../shared/redis.ts';
import { runKey } from '../../shared/run-keys.ts';
import type { Usage } from '../../shared/run-record.ts';
import type { Budget } from '../../shared/workflow-schema.ts';
import { RESERVE, SETTLE } from './budget-scripts.ts';
import { totalTokens } from './call-record.ts';

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

/** The most a call can use. */
export interface WorstCase {
  inputTokens: number;
  outputTokens: number;
}

const MICRO = 1_000_000;
const micros = (usd: number): number => Math.ceil(usd * MICRO);

/**
 * The account of a run, shared by all workers through Redis. The worst case of a call is reserved before the call and
 * settled after it, so a limit is never passed, not even by workers that call at the same moment.
 */
export class RunAccount {
  readonly #redis: Redis;
  readonly #key: string;
  readonly #budget: Budget;

  constructor(options: { redis: Redis; prefix: string; runId: string; budget: Budget }) {
    this.#redis = options.redis;
    this.#key = runKey(options.prefix, options.runId, 'account');
    this.#budget = options.budget;
  }

  /**
   * Sets the worst case of a call aside. Throws `BUDGET_EXCEEDED` when the call could pass a limit.
   * The id names the call and is the same when the call is made again: a reservation that a killed worker left
   * behind is then counted as spent.
   */
  async reserve(id: string, worst: WorstCase, terms: { price: Price | null; simulated: boolean; model: string }) {
    // Writing to the cache is the dearest way of sending a token, reading none is the worst luck.
    const dearest = { inputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: worst.inputTokens };
    const plain = { inputTokens: worst.inputTokens, cacheReadTokens: 0, cacheWriteTokens: 0 };
    const costs = [dearest, plain].map((sent) => costOf({ ...sent, outputTokens: worst.outputTokens }, terms.price));
    const cost = terms.simulated ? 0 : costs.includes(null) ? null : Math.max(...costs.map(Number));
    if (cost === null && this.#budget.usd !== undefined) {
      throw new FleetError(
        'BAD_INPUT',
        `the run has a budget in dollars, but the price of ${terms.model} is not known`,
        {
          remedy: 'Fill in its price in config/models.yaml, or give the budget in tokens.',
        },
      );
    }
    const tokens = worst.inputTokens + worst.outputTokens;
    const reply = await this.#redis.eval(
      RESERVE,
      1,
      this.#key,
      id,
      String(tokens),
      String(micros(cost ?? 0)),
      this.#budget.tokens === undefined ? '' : String(this.#budget.tokens),
      this.#budget.usd === undefined ? '' : String(Math.floor(this.#budget.usd * MICRO)),
    );
    const [outcome, taken] = z.tuple([z.enum(['ok', 'tokens', 'usd']), z.string()]).parse(reply);
    if (outcome === 'ok') return;
    const inWords =
      outcome === 'tokens'
        ? `${taken} of ${this.#budget.tokens} tokens are spent or set aside, and the next call may use ${tokens}`
        : `$${Number(taken) / MICRO} of $${this.#budget.usd} are spent or set aside, and the next call may cost $${cost}`;
    throw new FleetError(
      'BUDGET_EXCEEDED',
      `the budget of the run does not allow another call to ${terms.model}: ${inWords}`,
      {
        remedy: 'Raise the budget, in the workflow or with `--budget-usd` or `--budget-tokens`, and start a new run.',
        details: { limit: outcome, taken: Number(taken), wantedTokens: tokens, wantedUsd: cost },
      },
    );
  }

  /** Replaces a reservation by what the provider counted. */
  async settle(id: string, usage: Usage, simulated: boolean): Promise<void> {
    const cost = usage.costUsd === null ? '' : String(Math.round(usage.costUsd * MICRO));
    await this.#redis.eval(SETTLE, 1, this.#key, id, String(totalTokens(usage)), cost, simulated ? '1' : '0');
  }

  /** A call that broke off after it had begun: what it cost is not known, so its worst case stays counted. */
  async settleUnknown(id: string, simulated: boolean): Promise<void> {
    await this.#redis.eval(SETTLE, 1, this.#key, id, 'worst', '', simulated ? '1' : '0');
  }

  async totals(): Promise<AccountTotals> {
    const fields = Fields.parse(await this.#redis.hgetall(this.#key));
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
}
