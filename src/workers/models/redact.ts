import { z } from 'zod';
import type { WorkerContext } from '../worker-context.ts';

const KEY_LIKE = /sk-ant-[\w-]{8,}/g;
const REDACTED = '[redacted]';

export type Redact = (text: string) => string;

/** The keys that a worker holds, as far as they are long enough to be told from other text. */
export function keysOf({
  config,
  redisUrl,
  endpointKeys = {},
}: Pick<WorkerContext, 'config' | 'redisUrl' | 'endpointKeys'>): string[] {
  const { apiKey, authToken } = config.anthropic;
  const password = URL.canParse(redisUrl) ? new URL(redisUrl).password : '';
  const keys = [apiKey, authToken, config.apiToken, config.webhooks.key, ...Object.values(endpointKeys)];
  // A short password may be a word that stands in any text.
  const long = password.length >= 16 ? [password] : [];
  return [...keys.flatMap((key) => (key === undefined || key.length < 6 ? [] : key)), ...long];
}

/** Takes every key out of a text: those that are known, and whatever looks like one. */
export const redactor =
  (keys: readonly string[] = []): Redact =>
  (text) =>
    keys.reduce((sofar, key) => sofar.replaceAll(key, REDACTED), text).replaceAll(KEY_LIKE, REDACTED);

/** What may be the beginning of something that looks like a key. */
const KEY_BEGUN = /(?:s|sk|sk-|sk-a|sk-an|sk-ant|sk-ant-[\w-]*)$/;
/** So much of it is enough to know it by. */
const KEPT_OF_KEY = 64;

/**
 * Takes keys out of a text that comes in pieces, wherever it is cut: what may be the beginning of a key is held back
 * until it is known to be none.
 */
export class PiecewiseRedactor {
  readonly #keys: readonly string[];
  readonly #redact: Redact;
  #held = '';

  constructor(keys: readonly string[]) {
    this.#keys = keys;
    this.#redact = redactor(keys);
  }

  next(piece: string): string {
    const text = this.#held + piece;
    const begun = KEY_BEGUN.exec(text)?.index ?? text.length;
    const cut = Math.min(begun, ...this.#keys.map((key) => text.length - overlap(text, key)));
    const held = text.slice(cut);
    this.#held = cut === begun ? held.slice(0, Math.max(KEPT_OF_KEY, ...this.#keys.map((key) => key.length))) : held;
    return this.#redact(text.slice(0, cut));
  }

  /** The next piece, before which some is missing: it may begin within a key. */
  afterGap(piece: string): string {
    this.#held = '';
    const longest = Math.max(0, ...this.#keys.map((key) => key.length));
    return this.next(piece.slice(longest).replace(/^[\w-]+/, ''));
  }
}

/** How many characters at the end of a text are the beginning of a key, and not all of it. */
function overlap(text: string, key: string): number {
  for (let length = Math.min(text.length, key.length - 1); length > 0; length -= 1)
    if (text.endsWith(key.slice(0, length))) return length;
  return 0;
}

const DELTAS = ['text', 'thinking', 'partial_json'] as const;
const DeltaEvent = z.looseObject({
  type: z.literal('content_block_delta'),
  index: z.number(),
  delta: z.looseObject({ type: z.string() }),
});

interface Line {
  raw: string;
  /** For a piece of a block: the event, where its text stands, and the block. */
  piece?: { event: z.infer<typeof DeltaEvent>; field: (typeof DELTAS)[number]; text: string };
}

function parseLine(raw: string): Line {
  if (!raw.startsWith('data: ')) return { raw };
  let event: z.infer<typeof DeltaEvent> | undefined;
  try {
    event = DeltaEvent.safeParse(JSON.parse(raw.slice(6))).data;
  } catch {
    return { raw };
  }
  const field = DELTAS.find((name) => typeof event?.delta[name] === 'string');
  if (event === undefined || field === undefined) return { raw };
  return { raw, piece: { event, field, text: String(event.delta[field]) } };
}

/**
 * Takes every key out of a streamed answer. A stream cuts texts anywhere, so what belongs together is looked at together;
 * a block with a key in it becomes one piece.
 */
export function redactStream(body: string, redact: Redact): string {
  const lines = body.split('\n').map(parseLine);
  const blocks = new Map<string, Line[]>();
  for (const line of lines) {
    if (line.piece === undefined) continue;
    const key = `${line.piece.event.index} ${line.piece.field}`;
    blocks.set(key, [...(blocks.get(key) ?? []), line]);
  }
  for (const block of blocks.values()) {
    const whole = block.map(({ piece }) => piece?.text ?? '').join('');
    const clean = redact(whole);
    if (clean === whole) continue;
    for (const [nth, line] of block.entries()) {
      if (line.piece === undefined) continue;
      const { event, field } = line.piece;
      const delta = { ...event.delta, [field]: nth === 0 ? clean : '' };
      line.raw = `data: ${JSON.stringify({ ...event, delta })}`;
    }
  }
  return redact(lines.map(({ raw }) => raw).join('\n'));
}
