import { createHash } from 'node:crypto';
import { z } from 'zod';

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** What every entry of a chained log carries: its place, and the sha256 of the entry before it as it was written. */
export const ChainLink = z.object({ seq: z.number().int().positive(), previous: Sha256 });

/** The last entry of a log: its place and the sha256 of its text. */
export interface ChainHead {
  seq: number;
  hash: string;
}

export const EMPTY_CHAIN: ChainHead = { seq: 0, hash: '0'.repeat(64) };

export const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export interface Chain<T> {
  entries: T[];
  head: ChainHead;
  /** What is wrong with the log, in words. Empty for a log that nobody touched. */
  problems: string[];
}

/**
 * Reads a log whose entries hold the hash of the one before them. An entry that was removed, added between others,
 * edited or put elsewhere breaks the chain. `expected`, where it is known, also shows that the end was cut off.
 */
export function readChain<T>(lines: readonly string[], parse: (value: unknown) => T, expected?: ChainHead): Chain<T> {
  const entries: T[] = [];
  const problems: string[] = [];
  let head = EMPTY_CHAIN;
  for (const line of lines) {
    const place = `entry ${head.seq + 1}`;
    const found = linkOf(line);
    if (found === undefined) {
      problems.push(`${place} is not readable`);
      break;
    }
    if (found.link.seq !== head.seq + 1)
      problems.push(`${place} is missing: entry ${found.link.seq} follows ${head.seq}`);
    else if (found.link.previous !== head.hash)
      problems.push(`${place} does not follow from the one before it: one of them was changed`);
    try {
      entries.push(parse(found.value));
    } catch (err) {
      if (!(err instanceof z.ZodError)) throw err;
      problems.push(`${place} is not an entry of this log`);
    }
    if (problems.length > 0) break;
    head = { seq: found.link.seq, hash: sha256(line) };
  }
  if (problems.length === 0 && expected !== undefined && (expected.seq !== head.seq || expected.hash !== head.hash))
    problems.push(
      expected.seq > head.seq
        ? `entry ${head.seq + 1} is missing: the log once had ${expected.seq}`
        : `the last entry is not the one that was written last`,
    );
  return { entries, head, problems };
}

function linkOf(line: string): { value: unknown; link: z.infer<typeof ChainLink> } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (err) {
    if (err instanceof SyntaxError) return undefined;
    throw err;
  }
  const link = ChainLink.safeParse(value);
  return link.success ? { value, link: link.data } : undefined;
}
