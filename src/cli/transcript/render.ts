import { widthOf } from '../../gates/reports/columns.ts';
import { originWords } from '../../shared/run-record.ts';
import { count, cutTo, oneLine } from '../text.ts';
import { elapsed } from '../words.ts';
import { type Page, excerpt, markdownLines } from './markdown.ts';
import type { Call, Item, Talk, Turn } from './talk.ts';
import { toolLines } from './tool-lines.ts';

const THOUGHT_LINES = 8;
const TASK_LINES = 6;

/** A title that goes on as a rule to the end of the line. */
export function rule(sign: string, title: string, page: Page): string {
  const text = cutTo(`${sign}${sign} ${title} `, page.columns);
  return text + sign.repeat(Math.max(0, page.columns - widthOf(text)));
}

const tokens = (number: number): string => (number < 1_000 ? String(number) : `${(number / 1_000).toFixed(1)}k`);
const inputOf = ({ usage }: Call): number => usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens;
const seconds = (ms: number): string => (ms < 60_000 ? `${(ms / 1_000).toFixed(1)}s` : elapsed(ms));

function costOf(calls: readonly Call[]): string {
  // Calls that cost nothing, each for its reason.
  if (calls.every((call) => call.replayed === true || call.simulated)) {
    const isSimulated = calls.some((call) => call.simulated);
    return originWords({ simulated: isSimulated, replayed: calls.some((call) => call.replayed) }).join(', ');
  }
  const costs = calls.map(({ usage }) => usage.costUsd);
  if (costs.includes(null)) return 'cost unknown';
  return `$${costs.reduce<number>((sum, cost) => sum + (cost ?? 0), 0).toFixed(4)}`;
}

/** A call that went to another model, because the one that was asked is overloaded. */
const fallbackText = ({ fallbackFrom = '', modelAnswered, modelAsked }: Call): string =>
  `asked ${oneLine(fallbackFrom)}, which was overloaded: answered by ${oneLine(modelAnswered ?? modelAsked)} as fallback`;

/** Who talked, with which models, for how long, and what it took. */
export function headLines(title: string, { calls, turns, compactions }: Talk, page: Page): string[] {
  const { colors } = page;
  const models = [...new Set(calls.flatMap((call) => call.modelAnswered ?? []))].map(oneLine).join(', ');
  const hosts = [...new Set(calls.map((call) => call.host))].map(oneLine).join(', ');
  const [read, sent, out] = [
    calls.reduce((sum, { usage }) => sum + usage.cacheReadTokens, 0),
    calls.reduce((sum, call) => sum + inputOf(call), 0),
    calls.reduce((sum, { usage }) => sum + usage.outputTokens, 0),
  ];
  const [first, last] = [calls[0], calls.at(-1)];
  const took =
    first === undefined || last === undefined
      ? 0
      : Date.parse(last.startedAt) + last.latencyMs - Date.parse(first.startedAt);
  const facts = [
    count(turns.at(-1)?.number ?? 0, 'turn'),
    `${models || 'no model'} at ${hosts || 'no host'}`,
    `${tokens(sent)} tokens in${sent > 0 ? ` (${Math.round((100 * read) / sent)}% from the cache)` : ''}, ${tokens(out)} out`,
    ...(calls.length > 0
      ? [costOf(calls), elapsed(took), `${first?.startedAt.slice(0, 16).replace('T', ' ') ?? ''} UTC`]
      : []),
  ];
  // A conversation falls back once, and stays with the other model.
  const fell = calls.find(({ fallbackFrom }) => fallbackFrom !== undefined);
  const summed =
    compactions.length === 0
      ? []
      : [colors.yellow(`summed up ${count(compactions.length, 'time')}, because it no longer fitted its model`)];
  return [
    colors.bold(rule('━', title, page)),
    ...markdownLines(facts.join(' · '), page).map((line) => colors.dim(line)),
    ...summed,
    ...(fell === undefined ? [] : [colors.yellow(`${fallbackText(fell)} from turn ${fell.turn} on`)]),
  ];
}

/** What the persona was asked, by its beginning. */
export function taskLines({ task }: Talk, page: Page): string[] {
  const inner = { ...page, columns: page.columns - 2 };
  const words = task.replace(/^<job [^>]*\/>\s*/, '');
  const lines = markdownLines(words, inner);
  return [
    '',
    page.colors.bold('task'),
    ...excerpt(lines, TASK_LINES, page).map((line) => (line === '' ? '' : page.colors.dim(`  ${line}`))),
  ];
}

/** One turn: when, with which model, what it took; then what was said and done in it. */
export function turnLines(turn: Turn, page: Page): string[] {
  const { colors } = page;
  const inner = { ...page, columns: page.columns - 2 };
  return [
    '',
    ...turnTitle(turn, page),
    ...turn.others.flatMap((call) => otherLines(call, inner)),
    ...warnings(turn, inner),
    ...turn.items.flatMap((item) => itemLines(item, inner)).map(indented),
    ...turn.told.flatMap((text) =>
      markdownLines(text, { ...inner, columns: inner.columns - 2 }).map((line, index) =>
        indented(colors.yellow(`${index === 0 ? '! ' : '  '}${line}`)),
      ),
    ),
  ];
}

const indented = (line: string): string => (line === '' ? '' : `  ${line}`);

/** The title of a turn, and its tokens below it where they do not fit into the line. */
function turnTitle({ number, call }: Turn, page: Page): string[] {
  const { colors } = page;
  if (call === undefined) return [colors.cyan(rule('─', `turn ${number}`, page))];
  const { cacheReadTokens, outputTokens } = call.usage;
  const cached = cacheReadTokens > 0 ? ` (${tokens(cacheReadTokens)} cached)` : '';
  const title = [
    `turn ${number}`,
    call.startedAt.slice(11, 19),
    oneLine(call.modelAnswered ?? call.modelAsked),
    seconds(call.latencyMs),
    costOf([call]),
  ].join(' · ');
  const used = `${tokens(inputOf(call))} in${cached}, ${tokens(outputTokens)} out`;
  const whole = `${title} · ${used}`;
  if (widthOf(whole) + 4 <= page.columns) return [colors.cyan(rule('─', whole, page))];
  return [colors.cyan(rule('─', title, page)), colors.dim(indented(cutTo(used, page.columns - 2)))];
}

/** Calls that gave no answer to go on with: those that failed, and those that summed up. */
function otherLines(call: Call, { colors }: Page): string[] {
  if (call.outcome === 'failed')
    return [colors.red(indented(`✘ a call failed: ${oneLine(call.error ?? 'no reason recorded')}`))];
  return [
    colors.yellow(
      indented(
        `≡ the conversation was summed up (${tokens(inputOf(call))} tokens in, ${tokens(call.usage.outputTokens)} out)`,
      ),
    ),
  ];
}

function warnings({ call }: Turn, { colors }: Page): string[] {
  if (call === undefined) return [];
  const told: string[] = [];
  if (call.fallbackFrom !== undefined) told.push(`↷ ${fallbackText(call)}`);
  if (call.replayed === true) told.push('⟲ replayed from a recording');
  if (call.stopReason === 'refusal') told.push('✘ the model refused to go on');
  if (call.stopReason === 'max_tokens') told.push('✂ the answer was cut off at its limit of tokens');
  if (call.stopReason === 'model_context_window_exceeded')
    told.push('✘ the conversation no longer fits into the context window');
  return told.map((line) => colors.yellow(indented(line)));
}

function itemLines(item: Item, page: Page): string[] {
  const { colors } = page;
  switch (item.kind) {
    case 'tool':
      return toolLines(item, page);
    case 'thinking': {
      const lines = markdownLines(item.text, { ...page, columns: page.columns - 2 });
      return excerpt(lines, THOUGHT_LINES, page).map((line) => colors.dim(`┊ ${line}`));
    }
    case 'text':
      return markdownLines(item.text, page);
    case 'other':
      return [colors.dim(`[${oneLine(item.text)}]`)];
  }
}

/** Calls after the last answer: why it went no further, or what it waits for. */
export const openLines = ({ openCalls }: Talk, page: Page): string[] =>
  openCalls.flatMap((call) => otherLines(call, page));
