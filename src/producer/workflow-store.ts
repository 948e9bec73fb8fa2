import { z } from 'zod';
import type { BlobStore } from '../shared/blob-store.ts';
import { FleetError } from '../shared/errors.ts';
import { Recent } from '../shared/recent.ts';
import type { Redis } from '../shared/redis.ts';
import { BlobRef } from '../shared/run-record.ts';
import { nearestHint } from '../shared/yaml-file.ts';
import { type RunSources, buildDefinitions } from './definitions-builder.ts';
import { WorkflowCache } from './workflow-cache.ts';
import { type LoadedWorkflow, loadWorkflowText, shippedWorkflows } from './workflow-file.ts';

/** The newest version of an uploaded workflow. */
const StoredWorkflow = z.strictObject({
  digest: z.string(),
  blob: BlobRef,
  at: z.iso.datetime(),
  by: z.string(),
});
type StoredWorkflow = z.infer<typeof StoredWorkflow>;

const MOST_WORKFLOWS = 1_000;
const REMEMBERED = 50;

/** Workflows by name: those that ship, and those that were uploaded, of which every version is kept by its digest. */
export class WorkflowStore {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #blobs: BlobStore;
  readonly #packageRoot: string;
  readonly #sources: RunSources;
  readonly #cache: WorkflowCache;
  /** Uploaded ones by their digest. */
  readonly #parsed = new Recent<LoadedWorkflow>(REMEMBERED);

  constructor(of: { redis: Redis; prefix: string; blobs: BlobStore; packageRoot: string; sources: RunSources }) {
    this.#redis = of.redis;
    this.#prefix = of.prefix;
    this.#blobs = of.blobs;
    this.#packageRoot = of.packageRoot;
    this.#sources = of.sources;
    this.#cache = new WorkflowCache(of.packageRoot);
  }

  get #newest(): string {
    return `${this.#prefix}:maestro:workflows`;
  }

  #versions(name: string): string {
    return `${this.#prefix}:maestro:workflows:${name}`;
  }

  /** Checks a text as a run would, and keeps it. Returns false in `isNew` when it is the newest version already. */
  async add(text: string, by: string): Promise<{ loaded: LoadedWorkflow; isNew: boolean }> {
    const loaded = await loadWorkflowText({ file: 'workflow.yaml', text }, this.#packageRoot);
    buildDefinitions(loaded, this.#sources);
    const { name } = loaded.workflow;
    if ((await shippedWorkflows(this.#packageRoot)).includes(name))
      throw new FleetError('CONFLICT', `the workflow "${name}" is one that ships`, { remedy: 'Give it another name.' });
    const before = await this.#find(name);
    if (before?.digest === loaded.digest) return { loaded, isNew: false };
    if (before === undefined && (await this.#redis.hlen(this.#newest)) >= MOST_WORKFLOWS)
      throw new FleetError('CONFLICT', `there are ${MOST_WORKFLOWS} uploaded workflows already`);
    const blob = await this.#blobs.put(Buffer.from(text, 'utf8'));
    const stored: StoredWorkflow = { digest: loaded.digest, blob, at: new Date().toISOString(), by };
    const kept = JSON.stringify(stored);
    await this.#redis.multi().hset(this.#versions(name), loaded.digest, kept).hset(this.#newest, name, kept).exec();
    return { loaded, isNew: true };
  }

  /** A workflow by its name: an uploaded one in the version of that digest, or the newest. */
  async load(name: string, digest?: string): Promise<LoadedWorkflow> {
    const shipped = await shippedWorkflows(this.#packageRoot);
    return shipped.includes(name) ? this.#cache.load(name) : this.#loadStored(name, digest);
  }

  async #loadStored(name: string, digest: string | undefined): Promise<LoadedWorkflow> {
    const stored = await this.#find(name, digest);
    if (stored === undefined) {
      const names = [...(await shippedWorkflows(this.#packageRoot)), ...(await this.#redis.hkeys(this.#newest))];
      const version = digest === undefined ? '' : ` of version ${digest}`;
      throw new FleetError('NOT_FOUND', `there is no workflow ${name}${version}${nearestHint(name, names)}`, {
        remedy: `Upload it to POST /api/workflows, or use one of: ${names.toSorted().join(', ')}.`,
      });
    }
    const known = this.#parsed.get(stored.digest);
    if (known !== undefined) return known;
    const text = Buffer.from(await this.#blobs.get(stored.blob)).toString('utf8');
    const loaded = await loadWorkflowText({ file: `${name}.yaml`, text }, this.#packageRoot);
    // What it names besides, files that ship, may have changed.
    if (Object.keys(loaded.subs).length === 0) this.#parsed.set(stored.digest, loaded);
    return loaded;
  }

  async #find(name: string, digest?: string): Promise<StoredWorkflow | undefined> {
    const raw = await (digest === undefined
      ? this.#redis.hget(this.#newest, name)
      : this.#redis.hget(this.#versions(name), digest));
    return raw === null ? undefined : StoredWorkflow.parse(JSON.parse(raw));
  }

  /** Names of all of them, and which were uploaded. */
  async names(): Promise<{ name: string; uploaded: boolean }[]> {
    const [shipped, stored] = await Promise.all([shippedWorkflows(this.#packageRoot), this.#redis.hkeys(this.#newest)]);
    return [
      ...shipped.map((name) => ({ name, uploaded: false })),
      ...stored.filter((name) => !shipped.includes(name)).map((name) => ({ name, uploaded: true })),
    ].toSorted((a, b) => a.name.localeCompare(b.name));
  }
}
