import { z } from 'zod';
import { type BlobStore, getJson, putJson } from './blob-store.ts';
import type { Redis } from './redis.ts';
import { BlobRef, RunStatus } from './run-record.ts';

/** One archived run, as listings need it. */
export const ArchiveEntry = z.strictObject({
  runId: z.string(),
  workflow: z.string(),
  status: RunStatus,
  /** The blob that holds the whole run. */
  ref: BlobRef,
  /** Its record as it stood, read by whoever lists it. */
  run: z.unknown(),
});
export type ArchiveEntry = z.infer<typeof ArchiveEntry>;

/** A page of the index that has left Redis, and what lies in and below it. */
const ArchiveNode = z.strictObject({
  ref: BlobRef,
  level: z.number().int().positive(),
  /** The first and the last run id in it. */
  min: z.string(),
  max: z.string(),
  statuses: z.array(RunStatus),
});
type ArchiveNode = z.infer<typeof ArchiveNode>;

const ArchivePage = z.strictObject({
  schemaVersion: z.literal(1),
  entries: z.array(ArchiveEntry),
  nodes: z.array(ArchiveNode),
});

/**
 * Moves what a page holds out of the open part, in one step with the page taking its place.
 * KEYS: hash it is moved from, hash of nodes. ARGV: page's ref, node, then the fields that the page holds.
 */
const SEAL = `
for i = 3, #ARGV do if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 0 then return 0 end end
for i = 3, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
`;

/** How many runs a page holds, and how many pages one above them. */
interface PageSizes {
  entries: number;
  nodes: number;
}
const SIZES: PageSizes = { entries: 200, nodes: 100 };

/**
 * The index of archived runs: a tree of pages in the blob store that grows at its open end. Redis holds the open page
 * of every level and nothing else, so what it holds stays as small however many runs there were.
 */
export class ArchiveIndex {
  readonly #redis: Redis;
  readonly #blobs: BlobStore;
  readonly #sizes: PageSizes;
  /** Hash: run id to entry. */
  readonly openKey: string;
  /** Hash: page to node, of all levels. */
  readonly #nodesKey: string;

  constructor(redis: Redis, prefix: string, blobs: BlobStore, sizes: PageSizes = SIZES) {
    this.#redis = redis;
    this.#blobs = blobs;
    this.#sizes = sizes;
    this.openKey = `${prefix}:maestro:archive:open`;
    this.#nodesKey = `${prefix}:maestro:archive:nodes`;
  }

  async find(runId: string): Promise<ArchiveEntry | undefined> {
    // In this order: a run moves from the open page to a node and never back.
    const open = await this.#redis.hget(this.openKey, runId);
    if (open !== null) return ArchiveEntry.parse(JSON.parse(open));
    let nodes = await this.#openNodes();
    for (;;) {
      const node = nodes.pop();
      if (node === undefined) return undefined;
      if (runId < node.min || runId > node.max) continue;
      const page = await getJson(this.#blobs, node.ref, ArchivePage);
      const found = page.entries.find((entry) => entry.runId === runId);
      if (found !== undefined) return found;
      nodes = [...nodes, ...page.nodes];
    }
  }

  /** Entries of runs older than `before`, newest first; pages without any of these statuses are not read. */
  async *entries(of: {
    statuses?: readonly RunStatus[] | undefined;
    before?: string | undefined;
  }): AsyncGenerator<ArchiveEntry> {
    const { statuses, before } = of;
    const open = await this.#redis.hvals(this.openKey);
    const items: Item[] = [
      ...open.map((text): Item => entryItem(ArchiveEntry.parse(JSON.parse(text)))),
      ...(await this.#openNodes()).map(nodeItem),
    ];
    let last = before;
    for (;;) {
      // The newest first: an entry that sorts above every page that is still closed is the next one.
      const at = items.reduce((best, item, index) => (item.key > (items[best]?.key ?? '') ? index : best), 0);
      const [item] = items.splice(at, 1);
      if (item === undefined) return;
      if (item.entry !== undefined) {
        if (last !== undefined && item.key >= last) continue;
        last = item.key;
        if (statuses === undefined || statuses.includes(item.entry.status)) yield item.entry;
        continue;
      }
      if (before !== undefined && item.node.min >= before) continue;
      if (statuses !== undefined && !item.node.statuses.some((status) => statuses.includes(status))) continue;
      const page = await getJson(this.#blobs, item.node.ref, ArchivePage);
      items.push(...page.entries.map(entryItem), ...page.nodes.map(nodeItem));
    }
  }

  /** Writes full pages to the blob store. A crash in between leaves the open page as it was. */
  async seal(): Promise<void> {
    const open = Object.values(await this.#redis.hgetall(this.openKey)).map((text) =>
      ArchiveEntry.parse(JSON.parse(text)),
    );
    if (open.length >= this.#sizes.entries) {
      const entries = open.toSorted((a, b) => (a.runId < b.runId ? -1 : 1));
      const [min = '', max = ''] = [entries[0]?.runId, entries.at(-1)?.runId];
      const statuses = [...new Set(entries.map((entry) => entry.status))];
      const ref = await putJson(this.#blobs, { schemaVersion: 1, entries, nodes: [] });
      await this.#replace(
        this.openKey,
        entries.map((entry) => entry.runId),
        { ref, level: 1, min, max, statuses },
      );
    }
    for (let level = 1; ; level += 1) {
      const nodes = (await this.#openNodes()).filter((node) => node.level === level);
      if (nodes.length < this.#sizes.nodes) return;
      const sorted = nodes.map((node) => node.max).toSorted();
      const ref = await putJson(this.#blobs, { schemaVersion: 1, entries: [], nodes });
      await this.#replace(
        this.#nodesKey,
        nodes.map((node) => node.ref),
        {
          ref,
          level: level + 1,
          min: nodes.map((node) => node.min).toSorted()[0] ?? '',
          max: sorted.at(-1) ?? '',
          statuses: [...new Set(nodes.flatMap((node) => node.statuses))],
        },
      );
    }
  }

  #replace(from: string, fields: readonly string[], node: ArchiveNode): Promise<unknown> {
    return this.#redis.eval(SEAL, 2, from, this.#nodesKey, node.ref, JSON.stringify(node), ...fields);
  }

  async #openNodes(): Promise<ArchiveNode[]> {
    const nodes = await this.#redis.hvals(this.#nodesKey);
    return nodes.map((text) => ArchiveNode.parse(JSON.parse(text)));
  }
}

type Item = { key: string; entry: ArchiveEntry; node?: never } | { key: string; entry?: never; node: ArchiveNode };
const entryItem = (entry: ArchiveEntry): Item => ({ key: entry.runId, entry });
const nodeItem = (node: ArchiveNode): Item => ({ key: node.max, node });
