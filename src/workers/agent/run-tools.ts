import type Anthropic from '@anthropic-ai/sdk';
import type { AgentCheckpoint } from './checkpoint.ts';
import { stuck } from './stuck.ts';
import type { ToolBox } from './tools.ts';

/** How many calls that only read run at once. */
const AT_ONCE = 8;
/** The most calls that are run of one answer, and of one conversation when nothing else is said. */
export const CALLS_PER_ANSWER = 128;
export const CALLS_PER_CONVERSATION = 2_000;

export type Use = Anthropic.ToolUseBlockParam;

export interface Outcome {
  text: string;
  isError: boolean;
}

export interface Running {
  tools: ToolBox;
  maxCalls?: number;
  /** Keeps the conversation and the files as they are now, in the middle of an answer. */
  saveProgress: () => Promise<void>;
}

const notRun = (why: string): Outcome => ({ text: `This call has not been run: ${why}.`, isError: true });

const interrupted = (name: string): Outcome => ({
  text:
    `${name} had been started when the worker that ran it was stopped; nobody knows whether it ended. The files of the ` +
    'workspace are as they were before it. Anything it does elsewhere may have been done: check that before you repeat it.',
  isError: true,
});

/** Runs the calls of one answer. What has come back is kept, and what may have run unseen is never run again. */
class AnswerRun {
  readonly outcomes = new Map<string, Outcome>();
  readonly #state: AgentCheckpoint;
  readonly #running: Running;
  readonly #messageId: string;
  /** The call that was under way when an earlier worker was stopped: those after it were asked for in ignorance of that. */
  readonly #broken: string | null;

  constructor(state: AgentCheckpoint, running: Running, messageId: string) {
    this.#state = state;
    this.#running = running;
    this.#messageId = messageId;
    this.#broken = state.progress?.begun ?? null;
    for (const { id, text, isError } of state.progress?.results ?? []) this.outcomes.set(id, { text, isError });
  }

  async run(uses: readonly Use[]): Promise<void> {
    let isBroken = false;
    for (const group of groupsOf(uses, (use) => this.#effects(use) === 'none')) {
      const left = group.filter((use) => !this.outcomes.has(use.id));
      const [first] = left;
      if (first === undefined) continue;
      if (this.#effects(first) === 'none') await this.#inParallel(left);
      else if (first.id === this.#broken) {
        isBroken = true;
        this.outcomes.set(first.id, interrupted(first.name));
      } else if (isBroken) this.outcomes.set(first.id, notRun('the one before it was interrupted'));
      else if (this.#effects(first) === 'outside') await this.#outside(first);
      else await this.#invoke(first);
    }
  }

  #effects(use: Use): ReturnType<ToolBox['effectsOf']> {
    return this.#running.tools.effectsOf(use.name);
  }

  async #inParallel(uses: readonly Use[]): Promise<void> {
    for (let from = 0; from < uses.length; from += AT_ONCE) {
      const ended = await Promise.allSettled(uses.slice(from, from + AT_ONCE).map((use) => this.#invoke(use)));
      // Nothing may still be running when this throws.
      for (const one of ended) if (one.status === 'rejected') throw one.reason;
    }
  }

  /** Notes that the call begins before it does, with all that has come back so far and the files that belong to that. */
  async #outside(use: Use): Promise<void> {
    const results = [...this.outcomes].map(([id, outcome]) => ({ id, ...outcome }));
    this.#state.progress = { results, begun: use.id };
    await this.#running.saveProgress();
    await this.#invoke(use);
  }

  async #invoke(use: Use): Promise<void> {
    const { id, name, input } = use;
    const outcome = await this.#running.tools.invoke({ id, name, input, messageId: this.#messageId });
    this.#state.lineage.push(...outcome.lineage);
    if (outcome.isRefused) this.#state.refusedCalls.push({ tool: name, toolUseId: id, messageId: this.#messageId });
    this.outcomes.set(id, { text: outcome.text, isError: outcome.isError });
  }
}

/** Neighbours that only read make one group; every other call is a group of its own. */
function groupsOf(uses: readonly Use[], isReading: (use: Use) => boolean): Use[][] {
  const groups: Use[][] = [];
  let open: Use[] | undefined;
  for (const use of uses) {
    if (open !== undefined && isReading(use)) open.push(use);
    else {
      open = isReading(use) ? [use] : undefined;
      groups.push(open ?? [use]);
    }
  }
  return groups;
}

/**
 * Runs the calls of one answer: those that only read at the same time as their neighbours, the others one after the
 * other, in order. What goes beyond the limits is not run, and the model is told so.
 */
export async function runTools(
  state: AgentCheckpoint,
  running: Running,
  of: { uses: readonly Use[]; messageId: string; refuse: string | undefined },
): Promise<ReadonlyMap<string, Outcome>> {
  const run = new AnswerRun(state, running, of.messageId);
  const most = running.maxCalls ?? CALLS_PER_CONVERSATION;
  if (of.refuse !== undefined) {
    for (const use of of.uses) run.outcomes.set(use.id, notRun(of.refuse));
    return run.outcomes;
  }
  const uses = of.uses.slice(0, CALLS_PER_ANSWER);
  await running.tools.askFirst(uses);
  if (state.toolCalls + uses.length > most)
    throw stuck(`the model made more than ${most} tool calls, which is the most of one conversation`);
  await run.run(uses);
  for (const use of of.uses.slice(CALLS_PER_ANSWER))
    run.outcomes.set(use.id, notRun(`an answer may hold ${CALLS_PER_ANSWER} calls at most, and this is one more`));
  state.toolCalls += uses.length;
  state.progress = null;
  return run.outcomes;
}
