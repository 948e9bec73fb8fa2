import { createHash } from 'node:crypto';
import type Anthropic from '@anthropic-ai/sdk';
import { z } from 'zod';
import { BlobRef } from '../../shared/run-record.ts';
import { CallRecord } from '../models/call-record.ts';
import { Circles, NO_CIRCLES } from './circles.ts';
import { LineageEntry } from './lineage.ts';

const Block = z.looseObject({ type: z.string() });

const MessageShape = z.strictObject({
  role: z.enum(['user', 'assistant']),
  content: z.union([z.string(), z.array(Block)]),
});

/** A message as the API takes it. Only its shape is checked here; the API checks the rest again with every call. */
const Message = z.custom<Anthropic.MessageParam>((value) => MessageShape.safeParse(value).success, 'not a message');

/** One time the conversation was summed up. */
export const Compaction = z.strictObject({
  /** The turn it was done for. */
  turn: z.number().int().positive(),
  /** How many turns the note stands for. */
  replaced: z.number().int().nonnegative(),
  fromTokens: z.number().int().nonnegative(),
  toTokens: z.number().int().nonnegative(),
  /** Where the conversation is kept as it was. */
  conversation: BlobRef.nullable(),
});
export type Compaction = z.infer<typeof Compaction>;

/** A work tree by its commit and by the hash of its files. */
const SavedFiles = z.strictObject({ commit: z.string(), tree: z.string() });

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
  /** The commit of the work tree that belongs to it, and the hash of its files; null as the job begins. */
  workspace: SavedFiles.nullable().optional(),
  /** Whether the files are of an earlier turn: since then there were more than can be kept. */
  behind: z.boolean().optional(),
  /** What the fleet has to say with the next results. */
  toSay: z.array(z.string()).default([]),
  /** The calls that were made for the last turn: what it cost is theirs. */
  span: z.strictObject({ from: z.number().int(), to: z.number().int() }).optional(),
  /** The fallback goes on with it: the model was overloaded. */
  fellBack: z.boolean().optional(),
  /** The endpoint does not answer: since when, how many calls have failed, and when the next is made. In milliseconds. */
  outage: z.strictObject({ sinceMs: z.number(), calls: z.number().int(), untilMs: z.number() }).optional(),
  compactions: z.array(Compaction).default([]),
  /** The turn that it was last summed up for: not again before that is answered. */
  compactedAt: z.number().int().optional(),
  /** When the last turn began, and how long it waited for its place among the fleet's calls. */
  began: z.strictObject({ at: z.string(), waitedMs: z.number() }).optional(),
  lineage: z.array(LineageEntry),
  refusedCalls: z.array(RefusedCall),
  /** How often the model was helped on, so that a restart does not begin counting again. */
  reminders: z.number().int(),
  repairs: z.number().int(),
  cutOffs: z.number().int(),
  circles: Circles.default(NO_CIRCLES),
  /** Of earlier versions, in place of `circles`. */
  repeats: z.unknown().optional(),
  toolCalls: z.number().int().nonnegative().default(0),
  /** While the calls of an answer run: what has come back, and the call with effects outside that was begun last. */
  progress: z
    .strictObject({
      results: z.array(z.strictObject({ id: z.string(), text: z.string(), isError: z.boolean() })),
      begun: z.string().nullable(),
    })
    .nullable()
    .default(null),
  /** The accepted hand-off, once there is one. */
  final: z.strictObject({ input: z.unknown() }).nullable(),
});
export type AgentCheckpoint = z.infer<typeof AgentCheckpoint>;

/** What was saved last; or that nothing was, or why it cannot be read any more. */
export type Loaded =
  | { state: 'none' }
  | { state: 'saved'; checkpoint: AgentCheckpoint }
  | { state: 'broken'; reason: string };

/** Where checkpoints are kept: the worker puts them into the blob store, with the work tree they belong to. */
export interface CheckpointStore {
  load(): Promise<Loaded>;
  /** Brings the files to where they were when that was saved. Returns why they cannot be, if so. */
  restore(): Promise<string | undefined>;
  /** Brings the files to where the job begins, because what was saved cannot be gone on with, and says so. */
  startOver(reason: string): Promise<void>;
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
  compactions: [],
  toSay: [],
  circles: NO_CIRCLES,
  toolCalls: 0,
  progress: null,
  final: null,
});

/** Names a conversation by all that it starts from. */
export const conversationDigest = (parts: readonly unknown[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('hex');
