import { appendFile, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ulid } from 'ulid';
import { z } from 'zod';
import { FleetError } from './errors.ts';
import { readIfPresent, withFileLock } from './file-lock.ts';
import { type Chain, type ChainHead, ChainLink, EMPTY_CHAIN, readChain, sha256 } from './hash-chain.ts';
import { Name, RunId } from './names.ts';
import type { Redis } from './redis.ts';
import { BlobRef } from './run-record.ts';

export const BypassId = z.string().regex(/^byp-[0-9a-hjkmnp-tv-z]{26}$/, 'a bypass id looks like byp-01k...');
export const newBypassId = (): string => `byp-${ulid().toLowerCase()}`;

/** What a bypass holds for: one run, every run of a workflow, or the folders that are judged with this log. */
export const BypassScope = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('run'), run: RunId }),
  z.strictObject({ kind: z.literal('workflow'), workflow: Name }),
  z.strictObject({ kind: z.literal('folder') }),
]);
export type BypassScope = z.infer<typeof BypassScope>;

const person = z.string().trim().min(1);
const time = z.iso.datetime();
const Asked = {
  scope: BypassScope,
  phase: Name,
  /** An exit gate or a success criterion. */
  gate: Name,
  by: person,
  reason: z.string().trim().min(1),
  /** The decision record, kept as a blob under its sha256. */
  adr: z.strictObject({ file: z.string(), sha256: BlobRef, bytes: z.number().int().positive() }),
  /** The role whose approval the policy asked for. */
  role: Name,
  until: time,
};
const link = { ...ChainLink.shape, id: BypassId, at: time };

/** One entry of the append-only log. */
export const BypassEntry = z.discriminatedUnion('type', [
  z.strictObject({ ...link, type: z.literal('requested'), ...Asked }),
  z.strictObject({ ...link, type: z.literal('approved'), by: person, role: Name }),
  z.strictObject({ ...link, type: z.literal('revoked'), by: person, reason: z.string().trim().min(1) }),
]);
export type BypassEntry = z.infer<typeof BypassEntry>;
type Unlinked<T> = T extends unknown ? Omit<T, 'seq' | 'previous'> : never;
export type NewBypassEntry = Unlinked<BypassEntry>;

/** A bypass as it stands after everything the log says of it. */
export const Bypass = z.strictObject({
  id: BypassId,
  ...Asked,
  requestedAt: time,
  approval: z.strictObject({ by: person, role: Name, at: time }).nullable(),
  revocation: z.strictObject({ by: person, reason: z.string(), at: time }).nullable(),
});
export type Bypass = z.infer<typeof Bypass>;

export interface BypassLogState extends Chain<BypassEntry> {
  bypasses: Bypass[];
}

/** The append-only log of bypasses: nothing in it is ever changed or removed. */
export interface BypassLog {
  /** For messages. */
  readonly location: string;
  read(): Promise<BypassLogState>;
  /** Throws `CONFLICT` when the log is broken: nothing is built on entries that somebody touched. */
  append(entry: NewBypassEntry): Promise<void>;
}

/** What the entries come to. The first approval and the first revocation of a bypass are the ones that count. */
export function foldBypasses(entries: readonly BypassEntry[]): Bypass[] {
  const byId = new Map<string, Bypass>();
  for (const entry of entries) {
    const known = byId.get(entry.id);
    if (entry.type === 'requested') {
      const { seq: _seq, previous: _previous, type: _type, at, ...asked } = entry;
      if (known === undefined) byId.set(entry.id, { ...asked, requestedAt: at, approval: null, revocation: null });
    } else if (known !== undefined && entry.type === 'approved') {
      known.approval ??= { by: entry.by, role: entry.role, at: entry.at };
    } else if (known !== undefined && entry.type === 'revoked') {
      known.revocation ??= { by: entry.by, reason: entry.reason, at: entry.at };
    }
  }
  return [...byId.values()];
}

/** The bypasses that were asked for one run: for it alone, or for every run of its workflow. */
export const bypassesOfRun = (bypasses: readonly Bypass[], runId: RunId, workflow: string): Bypass[] =>
  bypasses.filter(
    ({ scope }) =>
      (scope.kind === 'run' && scope.run === runId) || (scope.kind === 'workflow' && scope.workflow === workflow),
  );

const stateOf = (lines: readonly string[], expected?: ChainHead): BypassLogState => {
  const chain = readChain(lines, (value) => BypassEntry.parse(value), expected);
  return { ...chain, bypasses: foldBypasses(chain.entries) };
};

const linked = (entry: NewBypassEntry, head: ChainHead): string =>
  JSON.stringify(BypassEntry.parse({ seq: head.seq + 1, previous: head.hash, ...entry }));

function assertWhole(state: BypassLogState, location: string): void {
  if (state.problems.length === 0) return;
  throw new FleetError('CONFLICT', `the bypass log ${location} is broken: ${state.problems.join('; ')}`, {
    remedy: 'Bring the log back from a backup. Until then no bypass counts.',
  });
}

/**
 * KEYS: stream, head. ARGV: head that is expected, sequence number, entry, new head.
 * The head says what the log must end with, so that an end that was cut off is noticed.
 */
const APPEND = `
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then return 'CHANGED' end
redis.call('XADD', KEYS[1], ARGV[2] .. '-0', 'entry', ARGV[3])
redis.call('SET', KEYS[2], ARGV[4])
return 'OK'
`;

/** Head and entries of one moment. An entry without its text is one that somebody else put there. */
const READ = `
local reply = { redis.call('GET', KEYS[2]) or '' }
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do reply[#reply + 1] = entry[2][2] or '' end
return reply
`;

const headText = ({ seq, hash }: ChainHead): string => (seq === 0 ? '' : `${seq} ${hash}`);

/** The log of a fleet: a Redis stream that only ever grows. */
export class RedisBypassLog implements BypassLog {
  readonly location: string;
  readonly #redis: Redis;

  constructor(redis: Redis, prefix: string) {
    this.#redis = redis;
    this.location = `${prefix}:maestro:bypasses`;
  }

  async read(): Promise<BypassLogState> {
    const reply = z.array(z.string()).parse(await this.#redis.eval(READ, 2, this.location, `${this.location}:head`));
    const [head = '', ...entries] = reply;
    const [seq = '', hash = ''] = head.split(' ');
    return stateOf(entries, head === '' ? EMPTY_CHAIN : { seq: Number(seq), hash });
  }

  async append(entry: NewBypassEntry): Promise<void> {
    for (;;) {
      const state = await this.read();
      assertWhole(state, this.location);
      const text = linked(entry, state.head);
      const next = { seq: state.head.seq + 1, hash: sha256(text) };
      const reply = await this.#redis.eval(
        APPEND,
        2,
        this.location,
        `${this.location}:head`,
        headText(state.head),
        String(next.seq),
        text,
        headText(next),
      );
      if (reply === 'OK') return;
    }
  }
}

/** The same log as a file of JSON lines, for folders that are judged without Redis. Its history belongs in git. */
export class FileBypassLog implements BypassLog {
  readonly location: string;

  constructor(path: string) {
    this.location = path;
  }

  async read(): Promise<BypassLogState> {
    const text = (await readIfPresent(this.location)) ?? '';
    return stateOf(text.split('\n').filter((line) => line !== ''));
  }

  async append(entry: NewBypassEntry): Promise<void> {
    await mkdir(dirname(this.location), { recursive: true });
    await withFileLock(`${this.location}.lock`, 10_000, async () => {
      const state = await this.read();
      assertWhole(state, this.location);
      await appendFile(this.location, `${linked(entry, state.head)}\n`);
    });
  }
}
