import { z } from 'zod';
import { type ArchiveEntry, ArchiveIndex } from './archive-index.ts';
import { type BlobStore, getJson, putJson } from './blob-store.ts';
import type { Redis } from './redis.ts';
import { RunStatus } from './run-record.ts';
import { INDEX_SCRIPT, type IndexChange, indexArgument } from './run-index.ts';
import { allRunKeys, runKey } from './run-keys.ts';

/** The hashes of a run that are kept; conversations under way and parked jobs end with it. */
const HASHES = ['run', 'phases', 'approvals', 'questions', 'account'] as const;
type HashName = (typeof HASHES)[number];
type Hash = Record<string, string>;

/** A whole run as one blob: what Redis held, as it was written, so that any version can be archived by any other. */
const ArchivedRun = z.strictObject({
  schemaVersion: z.literal(1),
  runId: z.string(),
  hashes: z.strictObject({
    run: z.record(z.string(), z.string()),
    phases: z.record(z.string(), z.string()),
    approvals: z.record(z.string(), z.string()),
    questions: z.record(z.string(), z.string()).default({}),
    account: z.record(z.string(), z.string()),
  }),
  /** Id and body of every event. */
  events: z.array(z.tuple([z.string(), z.string()])),
  /** Its ledger of calls to models. */
  calls: z.array(z.string()).default([]),
});
export type ArchivedRun = z.infer<typeof ArchivedRun>;

/**
 * The one step in which a run leaves Redis for the archive: it is in the one or in the other, whenever somebody dies.
 * KEYS: run hash, open page of the index, newest id, counts by status, runs whose jobs are still to be removed,
 * then every key of the run.
 * ARGV: run record, sequence number and generation as they were read, run id, entry, status, index changes.
 */
const ARCHIVE = `${INDEX_SCRIPT}
local now = redis.call('HMGET', KEYS[1], 'run', 'seq', 'generation')
if now[1] ~= ARGV[1] or (now[2] or '') ~= ARGV[2] or (now[3] or '0') ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[2], ARGV[4], ARGV[5])
if (redis.call('GET', KEYS[3]) or '') < ARGV[4] then redis.call('SET', KEYS[3], ARGV[4]) end
redis.call('HINCRBY', KEYS[4], ARGV[6], 1)
redis.call('SADD', KEYS[5], ARGV[4])
index(ARGV[7])
for i = 6, #KEYS do redis.call('UNLINK', KEYS[i]) end
return 1
`;

const REMEMBERED = 20;

/** Runs that have left Redis: each one blob, found again by an index that is a tree of blobs. */
export class RunArchive {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #blobs: BlobStore;
  readonly index: ArchiveIndex;
  readonly #recent = new Map<string, ArchivedRun>();

  constructor(redis: Redis, prefix: string, blobs: BlobStore, index = new ArchiveIndex(redis, prefix, blobs)) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.#blobs = blobs;
    this.index = index;
  }

  #key(part: 'newest' | 'counts' | 'jobs'): string {
    return `${this.#prefix}:maestro:archive:${part}`;
  }

  async find(runId: string): Promise<ArchivedRun | undefined> {
    const known = this.#recent.get(runId);
    if (known !== undefined) return known;
    if (!(await this.mayHold(runId))) return undefined;
    const entry = await this.index.find(runId);
    if (entry === undefined) return undefined;
    const run = await getJson(this.#blobs, entry.ref, ArchivedRun);
    this.#recent.set(runId, run);
    const oldest = this.#recent.keys().next();
    if (this.#recent.size > REMEMBERED && oldest.done !== true) this.#recent.delete(oldest.value);
    return run;
  }

  /** False for every run that is younger than all that are archived: one small read. */
  async mayHold(runId: string): Promise<boolean> {
    return runId <= ((await this.#redis.get(this.#key('newest'))) ?? '');
  }

  /** How many archived runs ended how. */
  async counts(): Promise<Partial<Record<RunStatus, number>>> {
    const raw = await this.#redis.hgetall(this.#key('counts'));
    return z.partialRecord(RunStatus, z.coerce.number()).parse(raw);
  }

  /**
   * Moves an ended run out of Redis. `describe` says of what was read what listings need, or null when the run is not to
   * be archived. Returns false, and changes nothing, when the run was changed meanwhile.
   */
  async add(
    runId: string,
    describe: (run: ArchivedRun) => { entry: Omit<ArchiveEntry, 'ref'>; changes: readonly IndexChange[] } | null,
  ): Promise<boolean> {
    const archived = await this.#readAll(runId);
    const described = archived === undefined ? null : describe(archived);
    if (archived === undefined || described === null) return false;
    const ref = await putJson(this.#blobs, archived);
    const keys = [runKey(this.#prefix, runId), this.index.openKey, this.#key('newest'), this.#key('counts')];
    const { run } = archived.hashes;
    const all = [...keys, this.#key('jobs'), ...allRunKeys(this.#prefix, runId)];
    const reply = await this.#redis.eval(
      ARCHIVE,
      all.length,
      ...all,
      run['run'] ?? '',
      run['seq'] ?? '',
      run['generation'] ?? '0',
      runId,
      JSON.stringify({ ...described.entry, ref }),
      described.entry.status,
      indexArgument(described.changes),
    );
    return reply === 1;
  }

  /** Archived runs whose jobs may still be in the queues. */
  jobsLeft(): Promise<string[]> {
    return this.#redis.srandmember(this.#key('jobs'), 100);
  }

  async jobsRemoved(runId: string): Promise<void> {
    await this.#redis.srem(this.#key('jobs'), runId);
  }

  async #readAll(runId: string): Promise<ArchivedRun | undefined> {
    const keyOf = (name: HashName): string => runKey(this.#prefix, runId, name === 'run' ? undefined : name);
    const read = (name: HashName): Promise<Hash> => this.#redis.hgetall(keyOf(name));
    // The run's own hash first: it counts every event, so whatever changes after this is noticed in the last step.
    const run = await read('run');
    if (run['run'] === undefined) return undefined;
    const [phases, approvals, questions, account] = await Promise.all([
      read('phases'),
      read('approvals'),
      read('questions'),
      read('account'),
    ]);
    const entries = await this.#redis.xrange(runKey(this.#prefix, runId, 'events'), '-', '+');
    const events = entries.map(([id, fields]): [string, string] => [id, fields[1] ?? '']);
    const calls = await this.#redis.lrange(runKey(this.#prefix, runId, 'calls'), 0, -1);
    return { schemaVersion: 1, runId, hashes: { run, phases, approvals, questions, account }, events, calls };
  }
}
