import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { FleetError } from '../../shared/errors.ts';
import type { LineageEntry } from './lineage.ts';
import { stuck } from './stuck.ts';

/** The same calls with the same results so many times in a row, in rounds of at most so many calls. */
const TIMES = 3;
const LONGEST_ROUND = 4;
/** So often a file may be set back to what it once was: then a warning, and then the end. */
const RETURNS_WARNED = 2;
const RETURNS_MOST = 4;
/** So many turns without a changed file and without an answer that was not known already. */
const IDLE_WARNED = 5;
const IDLE_MOST = 8;
const MOST_SEEN = 4_000;

const Kind = z.enum(['calls', 'edits', 'idle']);

/** What tells whether a conversation goes round in circles. Calls stand here by a hash of input and result. */
export const Circles = z.strictObject({
  /** The last calls, newest last. */
  recent: z.array(z.string()),
  /** Everything that was learnt so far. */
  seen: z.array(z.string()),
  idleTurns: z.number().int().nonnegative(),
  warned: z.array(Kind),
});
export type Circles = z.infer<typeof Circles>;
export const NO_CIRCLES: Circles = { recent: [], seen: [], idleTurns: 0, warned: [] };

/** One turn: its calls with what came back, and the files that they changed. */
export interface TurnDone {
  calls: readonly { name: string; input: unknown; result: string }[];
  changed: readonly LineageEntry[];
}

/** What came back, without what differs each time: durations, and tags that hold a hash of the text they mark. */
const steady = (result: string): string =>
  result.replaceAll(/data-[0-9a-f]{16}/g, 'data').replaceAll(/duration_ms \d[\d.]*|\d[\d.]* ?m?s\b/g, 'time');

const keyOf = ({ name, input, result }: TurnDone['calls'][number]): string =>
  createHash('sha256')
    .update(JSON.stringify([name, input, steady(result)]))
    .digest('base64url')
    .slice(0, 12);

/** The length of the round that the last calls repeat; undefined when they do not. */
function roundOf(recent: readonly string[]): number | undefined {
  for (let length = 1; length <= LONGEST_ROUND; length += 1) {
    const last = recent.slice(-length * TIMES);
    if (last.length === length * TIMES && last.every((key, index) => key === last[index % length])) return length;
  }
  return undefined;
}

/**
 * How often each of these files was set back to what it had been before. Commands that change many files at once are not
 * counted. One walk for all of them: a command may change tens of thousands.
 */
function returnsOf(lineage: readonly LineageEntry[], paths: ReadonlySet<string>): Map<string, number> {
  const filesOfCall = new Map<string, number>();
  for (const { toolUseId } of lineage) filesOfCall.set(toolUseId, (filesOfCall.get(toolUseId) ?? 0) + 1);
  const versions = new Map<string, { last: string | null; seen: Set<string | null>; returns: number }>();
  for (const { path, sha256, toolUseId } of lineage) {
    if (!paths.has(path) || filesOfCall.get(toolUseId) !== 1) continue;
    const known = versions.get(path);
    if (known === undefined) versions.set(path, { last: sha256, seen: new Set([sha256]), returns: 0 });
    else if (known.last !== sha256) {
      if (known.seen.has(sha256)) known.returns += 1;
      known.seen.add(sha256);
      known.last = sha256;
    }
  }
  return new Map([...versions].map(([path, { returns }]) => [path, returns]));
}

interface Seen {
  kind: z.infer<typeof Kind>;
  /** What is told to the model, once. */
  warning: string;
  /** What ends the conversation when it goes on all the same. */
  end: string;
  /** Whether it goes on, after a warning. */
  isOver: boolean;
}

function circlesIn(circles: Circles, turn: TurnDone, lineage: readonly LineageEntry[]): Seen[] {
  const found: Seen[] = [];
  const { idleTurns } = circles;
  for (const [path, returns] of returnsOf(lineage, new Set(turn.changed.map((entry) => entry.path)))) {
    if (returns < RETURNS_WARNED) continue;
    const times = `${path} was set back ${returns} times to what it had been before`;
    const warning =
      `${times}: you undo your own edits and make them again. Decide which version is right and why, ` +
      'and look for the cause elsewhere; or hand off and say what is in the way.';
    const isOver = returns >= RETURNS_MOST;
    found.push({ kind: 'edits', warning, end: `${times}, also after a warning`, isOver });
  }
  if (idleTurns >= IDLE_WARNED) {
    const turns = `${idleTurns} turns in a row changed no file and showed nothing new`;
    const warning = `${turns}. Change something, or hand off and say what is in the way.`;
    found.push({ kind: 'idle', warning, end: `${turns}, also after a warning`, isOver: idleTurns >= IDLE_MOST });
  }
  return found;
}

/** Takes one call after the other into the history, and says which of them end a third round of the same. */
function repeatedIn(circles: Circles, turn: TurnDone): Seen[] {
  const found: Seen[] = [];
  for (const call of turn.calls) {
    circles.recent = [...circles.recent, keyOf(call)].slice(-TIMES * LONGEST_ROUND);
    const length = roundOf(circles.recent);
    if (length === undefined) continue;
    const what = length === 1 ? call.name : `a round of ${length} calls that ends with ${call.name}`;
    const warning =
      length === 1
        ? `You have called ${what} with the same input ${TIMES} times in a row, and the result was the same each time. `
        : `You have made ${what} ${TIMES} times in a row, and the results were the same each time. `;
    found.push({
      kind: 'calls',
      warning: `${warning}It will not change. Do something else, or hand off and say what is in the way.`,
      end: `${what} gave the same result more than ${TIMES} times in a row, also after a warning`,
      isOver: true,
    });
  }
  return found;
}

/**
 * Notices going round in circles: the same calls with the same results, edits that are made and undone, and turns that
 * neither change nor learn anything. Each kind is warned of once, with a text for the model; when that does not help,
 * there is an end.
 */
export function noteTurn(
  state: { circles: Circles; lineage: readonly LineageEntry[] },
  turn: TurnDone,
): { warnings: string[]; end: FleetError | undefined } {
  const circles = { ...state.circles };
  state.circles = circles;
  const known = new Set(circles.seen);
  const isNew = turn.calls.some((call) => !known.has(keyOf(call)));
  if (turn.calls.length > 0) circles.idleTurns = isNew || turn.changed.length > 0 ? 0 : circles.idleTurns + 1;
  circles.seen = [...new Set([...circles.seen, ...turn.calls.map(keyOf)])].slice(-MOST_SEEN);
  const warnings: string[] = [];
  for (const seen of [...repeatedIn(circles, turn), ...circlesIn(circles, turn, state.lineage)]) {
    if (!circles.warned.includes(seen.kind)) {
      circles.warned = [...circles.warned, seen.kind];
      warnings.push(seen.warning);
    } else if (seen.isOver) {
      const details = { circle: seen.kind };
      return { warnings, end: stuck(`the model goes round in circles: ${seen.end}`, details) };
    }
  }
  return { warnings, end: undefined };
}
