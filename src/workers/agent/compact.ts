import type Anthropic from '@anthropic-ai/sdk';
import { FleetError } from '../../shared/errors.ts';
import { NOTES_OF_TURN, NOTE_TOKENS } from '../../shared/worst-case.ts';
import { totalTokens } from '../models/call-record.ts';
import type { AgentOptions } from './agent-options.ts';
import { buildRequest } from './build-request.ts';
import { callInTurn, windowOf } from './call-in-turn.ts';
import type { AgentCheckpoint } from './checkpoint.ts';
import { taggedBlock } from './data-block.ts';
import { SUM_UP, formatSummedUp } from './job-line.ts';
import { stuck } from './stuck.ts';
import { lastAnswer } from './take-answer.ts';

type Message = Anthropic.MessageParam;

/** The last turns stay as they are, as long as they fit. */
const KEPT_TURNS = 2;
const SECTIONS = ['Done', 'Decisions', 'Files', 'Open', 'Next'] as const;
/** Shorter results are never left out. */
const SHORT = 2_000;

const ASK = `${SUM_UP}
This conversation is about to outgrow what you can take in. Sum it up now, for yourself: your note will stand in place of everything above but the task. Call no tool; answer with the note alone, as Markdown with exactly these sections:
## Done
What is finished and measured, with figures.
## Decisions
What was decided and why, and what was tried and did not work.
## Files
Every file that matters, by its path, with what it holds and what state it is in.
## Open
What is left, what fails now and with which message, what you do not know.
## Next
The next steps, in order.
Write what you have seen and nothing else. Files need not be copied: they stay in the workspace, and you can read them again.`;

const ASK_AGAIN =
  'Your last answer was no such note. Call no tool. Answer with the five sections, each with text under it.';

interface Conversation<F> {
  options: AgentOptions<F>;
  state: AgentCheckpoint;
  definitions: readonly Anthropic.Tool[];
}

const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value), 'utf8');
const blocksOf = ({ content }: Message): Anthropic.ContentBlockParam[] =>
  typeof content === 'string' ? [{ type: 'text', text: content }] : content;
const answersIn = (messages: readonly Message[]): number => messages.filter(({ role }) => role === 'assistant').length;

/** Whether a text has every section, with something in it. */
function isNote(text: string): boolean {
  return SECTIONS.every((section) => new RegExp(`^## ${section}[ \\t]*\\n+(?!## )\\S`, 'm').test(text));
}

/** Has the model sum up the turns that will no longer stand in the conversation. */
async function askForNote<F>(of: Conversation<F>, messages: readonly Message[], turn: number): Promise<string> {
  const { options, state, definitions } = of;
  const { model, system } = options;
  const maxTokens = Math.min(options.maxTokensPerTurn, NOTE_TOKENS);
  const asking = (text: string): Message[] => {
    const last = messages.at(-1);
    const block = { type: 'text' as const, text };
    if (last?.role !== 'user') return [...messages, { role: 'user', content: [block] }];
    return [...messages.slice(0, -1), { role: 'user', content: [...blocksOf(last), block] }];
  };
  for (let attempt = 0; attempt < NOTES_OF_TURN; attempt += 1) {
    const ask = attempt === 0 ? ASK : `${ASK}\n${ASK_AGAIN}`;
    const request = buildRequest({ model, system, tools: definitions, messages: asking(ask), maxTokens });
    // Only when it has to be: with another tool choice, what the cache holds of the conversation is not read.
    if (attempt > 0) request.tool_choice = { type: 'none' };
    const reservation = `${options.jobId}.t${turn}.note${attempt}`;
    const answer = await callInTurn({ options, state }, request, { turn, reservation, purpose: 'compaction' });
    if (answer.stop_reason === 'refusal')
      throw new FleetError('MODEL_REFUSED', `${model} refused to sum up the conversation`, {
        remedy: 'Split the phase, or use a model with a larger context window.',
      });
    const text = answer.content.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('\n');
    if (answer.stop_reason === 'end_turn' && isNote(text)) return text.trim();
  }
  throw stuck(`${model} did not sum up the conversation, which no longer fits into its context window`);
}

/** Leaves out the longest results of the kept turns until they fit, and says so in their place. */
function shorten(kept: readonly Message[], most: number): Message[] {
  let bytes = bytesOf(kept);
  const results = kept
    .flatMap((message) => blocksOf(message))
    .filter((block) => block.type === 'tool_result')
    .map((block) => ({ block, size: bytesOf(block.content ?? '') }))
    .filter(({ size }) => size > SHORT)
    .toSorted((a, b) => b.size - a.size);
  const left = new Map<Anthropic.ContentBlockParam, Anthropic.ToolResultBlockParam>();
  for (const { block, size } of results) {
    if (bytes <= most) break;
    bytes -= size;
    const content = `This result (${size} bytes) is left out: the conversation does not fit with it. Ask for a smaller part of it.`;
    left.set(block, { ...block, content });
  }
  return kept.map((message) =>
    message.role !== 'user' || typeof message.content === 'string'
      ? message
      : { role: 'user', content: message.content.map((block) => left.get(block) ?? block) },
  );
}

/**
 * Makes a conversation shorter that no longer fits: the task, a note of the model's own on what it did, and the last
 * turns. The call for the note is recorded and paid like any other; the conversation as it was is kept, and the run's
 * log tells of it. Nothing is dropped in silence.
 */
export async function compact<F>(of: Conversation<F>, turn: number): Promise<void> {
  const { options, state, definitions } = of;
  const { messages } = state;
  const starts = messages.flatMap(({ role }, index) =>
    role === 'assistant' && messages[index - 1]?.role === 'user' ? [index] : [],
  );
  const keptFrom = starts.at(-Math.max(1, Math.min(KEPT_TURNS, starts.length - 1))) ?? messages.length;
  const before = messages.slice(0, keptFrom);
  const note = answersIn(before) === 0 ? undefined : await askForNote(of, before, turn);
  const window = windowOf(options, state);
  const replaced = state.compactions.reduce((sum, one) => sum + one.replaced, 0) + answersIn(before);
  const task = messages[0] === undefined ? [] : blocksOf(messages[0]).slice(0, 1);
  const earlier = messages[0] === undefined ? [] : blocksOf(messages[0]).slice(1, 2);
  const noted =
    note === undefined
      ? earlier
      : [
          {
            type: 'text' as const,
            text:
              `${formatSummedUp(replaced)}\nYour first ${replaced} turns are no longer here, because they no longer fitted. ` +
              'This is the note you wrote of them; the files in the workspace are as you left them.\n' +
              taggedBlock('note', note),
          },
        ];
  const first: Message = { role: 'user', content: [...task, ...noted] };
  const fixed = bytesOf([options.system, definitions, first]);
  // Two bytes a token is more than ordinary text needs, and some room is left for the turns to come.
  const most = 2 * Math.max(0, window * 0.8 - options.maxTokensPerTurn) - fixed;
  const next = [first, ...shorten(messages.slice(keptFrom), most)];

  const answer = lastAnswer(state);
  const answered = messages.findLastIndex(({ role }) => role === 'assistant');
  const fromTokens = totalTokens(answer.usage) + Math.ceil(bytesOf(messages.slice(answered + 1)) / 4);
  const all = (list: readonly Message[]): number => bytesOf([options.system, definitions, list]);
  const toTokens = Math.round((fromTokens * all(next)) / all(messages));
  const conversation = (await options.keep?.(messages)) ?? null;
  state.compactions.push({ turn, replaced: answersIn(before), fromTokens, toTokens, conversation });
  state.messages = next;
  state.compactedAt = turn;
  await options.checkpoint?.save(state);
  const kept = conversation ?? undefined;
  await options.onNote?.({ type: 'compacted', turn, fromTokens, toTokens, conversation: kept });
}
