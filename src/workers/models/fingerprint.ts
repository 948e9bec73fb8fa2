import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { RecordedRequest } from '../../shared/cassette.ts';
import { parseJobLine } from '../agent/job-line.ts';
import { isOfNewFolder } from '../agent/new-folder.ts';

const MOST_SHOWN = 20_000;

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

const Request = z.looseObject({
  model: z.string(),
  max_tokens: z.number().int(),
  system: z.unknown().optional(),
  tools: z.unknown().optional(),
  messages: z.array(z.looseObject({ role: z.string(), content: z.unknown() })).min(1),
});

/** What differs between two runs of the same work though nothing is different: ids, times, places, hashes. */
const VARYING: readonly [RegExp, string][] = [
  [/\b[0-9A-HJKMNP-TV-Z]{26}\b/g, '(id)'],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, '(id)'],
  [/\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,64}\b/g, '(hash)'],
  [/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?/g, '(time)'],
  [/\b\d\d:\d\d:\d\d([.,]\d+)?\b/g, '(time)'],
  [/\b(127\.0\.0\.1|localhost|\[::1\]):\d+/g, '$1:(port)'],
  [/(duration_?ms"?:?\s*)\d+(\.\d+)?/gi, '$1(duration)'],
  [/\b\d+(\.\d+)?\s?(ms|µs|ns|s|sec|seconds|min)\b/g, '(duration)'],
  // What a key was taken out of is shorter.
  [/\b\d+ bytes\b/g, '(size)'],
  [/\bpid[ :=]\d+/gi, 'pid (number)'],
  [/\/(tmp|var\/tmp|private\/var|dev\/shm)\/[^\s"'`:)\\]*/g, '(path)'],
];

const settled = (text: string): string => VARYING.reduce((sofar, [pattern, by]) => sofar.replaceAll(pattern, by), text);

/** A run that was not interrupted has no such line. */
const isMoved = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  'text' in value &&
  typeof value.text === 'string' &&
  isOfNewFolder(value.text);

/** The same value without what marks it for the cache, and with what varies left out. */
function plain(value: unknown): unknown {
  if (typeof value === 'string') return settled(value);
  if (Array.isArray(value)) return value.filter((item) => !isMoved(item)).map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => (key === 'cache_control' ? [] : [[key, plain(item)]])),
  );
}

const firstText = (content: unknown): string => {
  const first: unknown = Array.isArray(content) ? content[0] : content;
  if (typeof first === 'string') return first;
  return typeof first === 'object' && first !== null && 'text' in first ? String(first.text) : '';
};

/** A request as recordings are found by: two runs of the same work ask the same, whatever their ids and clocks are. */
export function describeRequest(body: string): RecordedRequest {
  const { model, max_tokens, system, tools, messages } = Request.parse(JSON.parse(body));
  const job = parseJobLine(firstText(messages[0]?.content));
  const texts = messages.map((message) => JSON.stringify(plain(message)));
  return {
    conversation: job === undefined ? '' : `${job.phase}/${job.persona} ${job.kind} round ${job.round}`,
    model,
    maxTokens: max_tokens,
    prompt: sha256(JSON.stringify(plain([system, tools]))),
    messages: texts.map(sha256),
    last: (texts.at(-1) ?? '').slice(0, MOST_SHOWN),
    sha256: sha256(body),
  };
}

/** Names a request: the same for the same request of another run. */
export const fingerprintOf = ({ conversation, model, maxTokens, prompt, messages }: RecordedRequest): string =>
  sha256(JSON.stringify([conversation, model, maxTokens, prompt, messages]));

const AROUND = 60;

function firstDifference(recorded: string, asked: string): string {
  let at = 0;
  while (at < recorded.length && recorded[at] === asked[at]) at += 1;
  const cut = (text: string): string => JSON.stringify(text.slice(Math.max(0, at - AROUND), at + AROUND));
  return `recorded ${cut(recorded)}, asked ${cut(asked)}`;
}

/** What is different between a request and the recorded one that is nearest to it, in one line. */
export function nearestDifference(asked: RecordedRequest, recorded: readonly RecordedRequest[]): string {
  const same = recorded.filter(({ conversation }) => conversation === asked.conversation);
  const name = asked.conversation === '' ? 'a conversation without a job line' : asked.conversation;
  if (same.length === 0) return `it holds nothing of ${name}`;
  const common = (one: RecordedRequest): number => {
    const at = one.messages.findIndex((message, index) => message !== asked.messages[index]);
    return at === -1 ? one.messages.length : at;
  };
  const nearest = same.reduce((best, one) => (common(one) > common(best) ? one : best));
  if (nearest.model !== asked.model)
    return `${name} was recorded with the model ${nearest.model}, and asks ${asked.model}`;
  if (nearest.prompt !== asked.prompt)
    return `the system prompt or the tools of ${name} are others than when it was recorded`;
  if (nearest.maxTokens !== asked.maxTokens)
    return `${name} was recorded with max_tokens ${nearest.maxTokens}, and asks for ${asked.maxTokens}`;
  const at = common(nearest);
  if (at >= asked.messages.length || !same.some(({ messages }) => messages.length > at))
    return `${name} goes on where its recording ends, after ${at} messages`;
  const there = same.find(({ messages }) => messages.length === at + 1);
  const where = `message ${at + 1} of ${name} is another`;
  return there === undefined || at + 1 !== asked.messages.length
    ? where
    : `${where}: ${firstDifference(there.last, asked.last)}`;
}
