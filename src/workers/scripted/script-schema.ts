import { z } from 'zod';
import { Name } from '../../shared/names.ts';

/** One tool call of a turn. In a script file its input may hold the sugar that loading expands. */
export const ScriptTool = z.strictObject({
  tool: z.string().min(1),
  input: z.record(z.string(), z.unknown()).default({}),
});
export type ScriptTool = z.infer<typeof ScriptTool>;

const onlyFirst = z.boolean().default(false);

/** Response headers, such as those that tell of limits. */
const Headers = z.record(z.string().regex(/^[a-z0-9-]+$/), z.string()).optional();

/** A fault that is answered instead of the turn: an HTTP error, or a stream that goes wrong half way. */
export const ScriptFault = z.union([
  z.strictObject({
    status: z.number().int().min(400).max(599),
    type: z.string().min(1),
    message: z.string().optional(),
    retry_after_s: z.number().nonnegative().optional(),
    headers: Headers,
    only_first: onlyFirst,
  }),
  z.strictObject({
    /**
     * `error`: an error event; `cut`: the connection is closed; `hang`: nothing more is sent; `malformed`: an event that
     * is no JSON.
     */
    mid_stream: z.enum(['error', 'cut', 'hang', 'malformed']),
    type: z.string().min(1).default('overloaded_error'),
    only_first: onlyFirst,
  }),
]);

/** What the stand-in answers to one request. */
export const ScriptTurn = z.strictObject({
  /** A thought before the answer, signed by the stand-in; it has to come back unchanged. */
  think: z.string().min(1).optional(),
  say: z.string().min(1).optional(),
  tools: z.array(ScriptTool).default([]),
  /** A folder beside the script; loading turns it into one write_file call per file, before `tools`. */
  write_tree: z.string().min(1).optional(),
  /** Told by the content unless given. */
  stop_reason: z
    .enum([
      'end_turn',
      'max_tokens',
      'stop_sequence',
      'tool_use',
      'pause_turn',
      'refusal',
      'model_context_window_exceeded',
    ])
    .optional(),
  /** Before the answer begins; between its headers and its first event; and between its events. */
  delay_ms: z.number().int().nonnegative().max(600_000).default(0),
  first_token_ms: z.number().int().nonnegative().max(600_000).default(0),
  pace_ms: z.number().int().nonnegative().max(60_000).default(0),
  headers: Headers,
  fault: ScriptFault.optional(),
});
export type ScriptTurn = z.infer<typeof ScriptTurn>;

export const ScriptJob = z.strictObject({
  phase: Name,
  persona: Name,
  kind: z.enum(['work', 'review']).default('work'),
  round: z.number().int().nonnegative().default(0),
  /** `main`, or a variant such as `sabotage:build_success`. */
  scenario: z
    .string()
    .regex(/^[a-z][a-z0-9_:-]*$/)
    .default('main'),
  turns: z.array(ScriptTurn).min(1),
  /** What is answered when the conversation is to be summed up; without it, a note with every section. */
  sum_up: ScriptTurn.optional(),
});
export type ScriptJob = z.infer<typeof ScriptJob>;

/** A script file: what a simulated model answers in every job of one workflow. */
export const Script = z.strictObject({ workflow: Name, jobs: z.array(ScriptJob).min(1) });
export type Script = z.infer<typeof Script>;

interface WantedJob {
  workflow: string;
  phase: string;
  persona: string;
  kind: 'work' | 'review';
  round: number;
  scenario?: string | undefined;
}

/**
 * The job that is played: of the same round in the same scenario, else in `main`, else of the highest lower round.
 * Undefined when no script speaks of this phase, persona and kind at all.
 */
export function findScriptJob(scripts: readonly Script[], wanted: WantedJob): ScriptJob | undefined {
  const jobs = scripts
    .filter((script) => script.workflow === wanted.workflow)
    .flatMap((script) => script.jobs)
    .filter((job) => job.phase === wanted.phase && job.persona === wanted.persona && job.kind === wanted.kind);
  for (let round = wanted.round; round >= 0; round -= 1) {
    const ofRound = jobs.filter((job) => job.round === round);
    const job =
      ofRound.find((one) => one.scenario === (wanted.scenario ?? 'main')) ??
      ofRound.find((one) => one.scenario === 'main');
    if (job !== undefined) return job;
  }
  return undefined;
}
