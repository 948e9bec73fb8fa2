import { z } from 'zod';

const KEY_LIKE = /sk-ant-[\w-]{8,}/g;
const REDACTED = '[redacted]';

export type Redact = (text: string) => string;

/** Takes every key out of a text: those that are known, and whatever looks like one. */
export const redactor =
  (secrets: readonly (string | undefined)[] = []): Redact =>
  (text) => {
    const known = secrets.filter((secret) => secret !== undefined && secret.length >= 6);
    return known
      .reduce((sofar: string, secret) => sofar.replaceAll(String(secret), REDACTED), text)
      .replaceAll(KEY_LIKE, REDACTED);
  };

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
