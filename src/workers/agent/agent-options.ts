import type Anthropic from '@anthropic-ai/sdk';
import type { z } from 'zod';
import type { Price } from '../../shared/model-config.ts';
import type { BlobRef, Usage } from '../../shared/run-record.ts';
import type { RunAccount } from '../models/budget.ts';
import type { CallRecord } from '../models/call-record.ts';
import type { ModelTurns } from '../models/model-turns.ts';
import type { ModelProvider } from '../models/provider.ts';
import type { CheckpointStore } from './checkpoint.ts';
import type { ToolBox } from './tools.ts';

/** The tool that ends the conversation: what it is given, once it is valid, is the result. */
export interface FinalTool<F> {
  name: string;
  description: string;
  schema: z.ZodType<F>;
}

export interface AgentTurn {
  turn: number;
  /** Names of the tools that were called, in order. */
  tools: string[];
  /** The call that was answered. */
  call: CallRecord;
  /** Of every call that was made for this turn. */
  usage: Usage;
  /** Unknown for a turn that an earlier worker ended. */
  timing: TurnTiming | undefined;
}

export interface TurnTiming {
  /** When the turn began, before it waited for its place among the fleet's calls. */
  startedAt: string;
  waitedMs: number;
  modelMs: number;
  toolMs: number;
}

/** What happens to a conversation beside its turns. */
export type AgentNote =
  | {
      type: 'compacted';
      turn: number;
      fromTokens: number;
      toTokens: number;
      conversation: BlobRef | undefined;
    }
  | { type: 'circling'; turn: number; warning: string }
  | { type: 'fallback'; turn: number; from: string; to: string; reason: string };

export interface AgentOptions<F> {
  provider: ModelProvider;
  model: string;
  system: string;
  userMessage: string;
  tools: ToolBox;
  finalTool: FinalTool<F>;
  maxTurns: number;
  maxTokensPerTurn: number;
  /** The most tool calls of the conversation. */
  maxCalls?: number;
  /** What the model can take in, prompt and answer together. */
  contextTokens?: number;
  /** Names the files that the work begins with: a saved conversation about others is not gone on with. */
  basis?: string;
  /** Null when nobody knows it. */
  price: Price | null;
  /** Who goes on with the conversation when the model is overloaded; without one it is waited for. */
  fallback?: { model: string; provider: ModelProvider; price: Price | null; contextTokens?: number };
  /** The account of the run; without one nothing is limited. */
  budget?: RunAccount;
  /** The turns of calls, shared by the fleet; without them no call waits, and a refused one ends the attempt. */
  turns?: ModelTurns;
  /** How long an endpoint may leave the conversation without an answer; without it, the first failed call ends the attempt. */
  outageLimitMs?: number;
  /** Names this conversation in the account, e.g. the job's id. */
  jobId: string;
  /** Which attempt of the job this is. */
  attempt: number;
  /** Called before each model call; whatever it throws ends this attempt where the conversation can be gone on with. */
  pausePoint?: () => void;
  signal: AbortSignal;
  /** How long the model's stream may be silent. */
  idleTimeoutMs: number;
  /** Told of every turn that has ended; of the last one again when another worker goes on from there. */
  onTurn?: (turn: AgentTurn) => void | Promise<void>;
  onNote?: (note: AgentNote) => void | Promise<void>;
  checkpoint?: CheckpointStore;
  /** Stores a conversation as it is, before it is summed up. */
  keep?: (messages: readonly Anthropic.MessageParam[]) => Promise<BlobRef>;
}
