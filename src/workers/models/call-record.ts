import type Anthropic from '@anthropic-ai/sdk';
import { z } from 'zod';
import { type Price, costOf } from '../../shared/model-config.ts';
import { Usage } from '../../shared/run-record.ts';

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** One request to a model, whether it was answered or not. */
export const CallRecord = z.strictObject({
  schemaVersion: z.literal(1),
  turn: z.number().int().positive(),
  /** Which attempt of the job made the call. */
  attempt: z.number().int().positive(),
  /** What it was made for, when it was no turn of the conversation. */
  purpose: z.literal('compaction').optional(),
  outcome: z.enum(['answered', 'failed']),
  /** Why it failed, in one line. */
  error: z.string().nullable(),
  messageId: z.string().nullable(),
  requestId: z.string().nullable(),
  modelAsked: z.string(),
  modelAnswered: z.string().nullable(),
  host: z.string(),
  status: z.number().int().nullable(),
  stopReason: z.string().nullable(),
  /** As the provider counted it. A failed call counts what was reported before it failed. */
  usage: Usage,
  startedAt: z.string(),
  latencyMs: z.number().nonnegative(),
  requestSha256: Sha256.nullable(),
  /** Of the bytes received, also when they were cut off. */
  responseSha256: Sha256.nullable(),
  /** True when a stand-in answered, whatever the provider is called. */
  simulated: z.boolean(),
  /** True when the answer came from a recording. */
  replayed: z.boolean().optional(),
  /** The model that was overloaded, when this call went to its fallback. */
  fallbackFrom: z.string().optional(),
  /** The part of the output that was thinking, where the provider tells. */
  thinkingTokens: z.number().int().optional(),
  /** The provider's rate-limit headers, as they came. */
  rateLimits: z.record(z.string(), z.string()),
});
export type CallRecord = z.infer<typeof CallRecord>;

/**
 * What the API counted, in the fleet's words. A call that nothing was bought for costs nothing; an unknown price gives an
 * unknown cost, and so does whatever the price table has no column for.
 */
export function usageOfMessage(usage: Anthropic.Usage, price: Price | null, isFree: boolean): Usage {
  const counted = {
    calls: 1,
    inputTokens: usage.input_tokens,
    outputTokens: usage.output_tokens,
    cacheReadTokens: usage.cache_read_input_tokens ?? 0,
    cacheWriteTokens: usage.cache_creation_input_tokens ?? 0,
  };
  const longCache = usage.cache_creation?.ephemeral_1h_input_tokens ?? 0;
  const searches = usage.server_tool_use?.web_search_requests ?? 0;
  const hasColumn = longCache === 0 && searches === 0;
  return { ...counted, costUsd: isFree ? 0 : hasColumn ? costOf(counted, price) : null };
}

/** Every token of a usage, sent and received. */
export const totalTokens = (usage: Usage): number =>
  usage.inputTokens + usage.outputTokens + usage.cacheReadTokens + usage.cacheWriteTokens;
