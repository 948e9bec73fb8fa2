import { createHash } from 'node:crypto';
import type Anthropic from '@anthropic-ai/sdk';
import { z } from 'zod';
import { CallRecord } from '../models/call-record.ts';
import { LineageEntry } from './lineage.ts';

const Block = z.looseObject({ type: z.string() });

/** A message as the API takes it. Only its shape is checked here; the API checks the rest again with every call. */
const Message = z.custom<Anthropic.MessageParam>((value) => {
  const shape = z.strictObject({ role: z.enum(['user', 'assistant']), content: z.union([z.string(), z.array(Block)]) });
  return shape.safeParse(value).success;
}, 'not a message');

/** Something a persona asked for and was not given. */
export const RefusedCall = z.strictObject({ tool: z.string(), toolUseId: z.string(), messageId: z.string() });
export type RefusedCall = z.infer<typeof RefusedCall>;

/**
 * Everything needed to go on with a conversation on another machine. It belongs together with the work tree as it was
 * when it was saved:
 * - `answered`: the model has answered and its tools have not run; the tree is as after the turn before.
 * - `completed`: all tools of the last answer have run.
 */
export const AgentCheckpoint = z.strictObject({
  schemaVersion: z.literal(1),
  /** Of the prompts, the model and the tools: a checkpoint of another conversation is not gone on with. */
  digest: z.string(),
  stage: z.enum(['answered', 'completed']),
  turns: z.number().int().nonnegative(),
  messages: z.array(Message).min(1),
  calls: z.array(CallRecord),
  /** When the last turn began, and how long it waited for its place among the fleet's calls. */
  began: z.strictObject({ at: z.string(), waitedMs: z.number() }).optional(),
  lineage: z.array(LineageEntry),
  refusedCalls: z.array(RefusedCall),
  /** How often the model was helped on, so that a restart does not begin counting again. */
  reminders: z.number().int(),
  repairs: z.number().int(),
  cutOffs: z.number().int(),
  repeats: z.strictObject({ key: z.string(), count: z.number().int(), warned: z.boolean() }),
  /** The accepted hand-off, once there is one. */
  final: z.strictObject({ input: z.unknown() }).nullable(),
});
export type AgentCheckpoint = z.infer<typeof AgentCheckpoint>;

/** Where checkpoints are kept: the worker puts them into the blob store, with the work tree they belong to. */
export interface CheckpointStore {
  load(): Promise<AgentCheckpoint | null>;
  save(checkpoint: AgentCheckpoint): Promise<void>;
}

export const newCheckpoint = (digest: string, userMessage: string): AgentCheckpoint => ({
  schemaVersion: 1,
  digest,
  stage: 'completed',
  turns: 0,
  messages: [{ role: 'user', content: [{ type: 'text', text: userMessage }] }],
  calls: [],
  lineage: [],
  refusedCalls: [],
  reminders: 0,
  repairs: 0,
  cutOffs: 0,
  repeats: { key: '', count: 0, warned: false },
  final: null,
});

/** Names a conversation by all that it starts from. */
export const conversationDigest = (parts: readonly unknown[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('hex');
