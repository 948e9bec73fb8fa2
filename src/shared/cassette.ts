import { z } from 'zod';
import { RunPlan } from './run-record.ts';

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** A request in a form that another run of the same work has as well; see `fingerprintOf`. */
export const RecordedRequest = z.strictObject({
  /** Whose conversation it belongs to. */
  conversation: z.string(),
  model: z.string(),
  maxTokens: z.number().int(),
  /** Of the system prompt and the tools. */
  prompt: Sha256,
  /** Of each message. */
  messages: z.array(Sha256).min(1),
  /** The last message in words, to show what is different. */
  last: z.string(),
  /** Of the bytes that were sent, without keys. */
  sha256: Sha256,
});
export type RecordedRequest = z.infer<typeof RecordedRequest>;

/** One call as it went over the wire, without keys. */
export const Recording = z.strictObject({
  schemaVersion: z.literal(1),
  request: RecordedRequest,
  response: z.strictObject({
    /** Null when there was no connection. */
    status: z.number().int().nullable(),
    headers: z.record(z.string(), z.string()),
    body: z.string(),
    /** It broke off after that. */
    isBroken: z.boolean(),
  }),
  latencyMs: z.number().nonnegative(),
});
export type Recording = z.infer<typeof Recording>;

/** A recorded run: every call that it made, in the order in which they ended. */
export const Cassette = z.strictObject({
  kind: z.literal('maestro/cassette'),
  schemaVersion: z.literal(1),
  runId: z.string(),
  workflow: z.string(),
  recordedAt: z.string(),
  provider: z.enum(['anthropic', 'scripted']),
  /** Whether a stand-in gave any of the answers. */
  simulated: z.boolean(),
  inputs: RunPlan.shape.inputs,
  scripted: RunPlan.shape.scripted,
  recordings: z.array(Recording),
});
export type Cassette = z.infer<typeof Cassette>;
