import { resolve } from 'node:path';
import type { z } from 'zod';
import { RunArchive } from '../shared/archive.ts';
import type { ShelvedBlobs } from '../shared/blob-store.ts';
import { FleetError, errorMessage } from '../shared/errors.ts';
import { type RunId, RunId as RunIdSchema } from '../shared/names.ts';
import { openBlobStore } from '../shared/open-blob-store.ts';
import { PACKAGE_ROOT } from '../shared/package-root.ts';
import { type Redis, connectRedis } from '../shared/redis.ts';
import type { ProviderName, RunEvent, RunRecord } from '../shared/run-record.ts';
import { RunStore } from '../shared/run-store.ts';
import { ExecuteRequest } from './api-schemas.ts';
import { type RunSources, loadRunSources, shippedFolders } from './definitions-builder.ts';
import { executeWorkflow } from './execute.ts';
import { cancelRun } from './run-control.ts';
import type { Principal } from './principal.ts';
import { RunSignals } from './run-signals.ts';
import { watchWith } from './watch.ts';
import { WorkflowCache } from './workflow-cache.ts';

export { FleetError } from '../shared/errors.ts';
export type { RunEvent, RunRecord } from '../shared/run-record.ts';

export interface ProducerOptions {
  redisUrl: string;
  /** The blob store of the workers: a folder, `file:///...` or `s3://bucket/prefix`. */
  blobs: string;
  /** As the workers have it. */
  prefix?: string;
  /** Who plays the personas of runs whose request does not say. */
  provider?: ProviderName;
  /** Where workflow files are looked for that are no shipped ones. */
  cwd?: string;
}

/** Whoever has Redis at hand may do everything. */
const PRODUCER: Principal = { kind: 'local', name: 'producer', scopes: ['admin'] };

type Request = z.input<typeof ExecuteRequest>;

/**
 * Enqueues runs straight into Redis, without a server between: for a service that has Redis and the blob store at hand.
 * A workflow is named as on the command line, by a path or the name of a shipped one.
 */
export class MaestroProducer {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #redisUrl: string;
  readonly #store: RunStore;
  readonly #blobs: ShelvedBlobs;
  readonly #workflows: WorkflowCache;
  readonly #sources: RunSources;
  readonly #provider: ProviderName;
  #signals: Promise<RunSignals> | undefined;
  #closed: Promise<void> | undefined;

  private constructor(redis: Redis, sources: RunSources, options: Required<ProducerOptions>) {
    this.#redis = redis;
    this.#prefix = options.prefix;
    this.#redisUrl = options.redisUrl;
    this.#blobs = openBlobStore(options.blobs);
    this.#store = new RunStore(redis, options.prefix, new RunArchive(redis, options.prefix, this.#blobs));
    this.#workflows = new WorkflowCache(PACKAGE_ROOT, options.cwd);
    this.#sources = sources;
    this.#provider = options.provider;
  }

  /** Connects. Throws `REDIS_UNAVAILABLE` at once when Redis does not answer. */
  static async open(options: ProducerOptions): Promise<MaestroProducer> {
    const { prefix = '{maestro}', provider = 'anthropic', cwd = '.' } = options;
    const sources = await loadRunSources(shippedFolders(PACKAGE_ROOT));
    const redis = await connectRedis(options.redisUrl, 'server');
    return new MaestroProducer(redis, sources, { ...options, prefix, provider, cwd: resolve(cwd) });
  }

  /** Starts a run. With a key, asking again within a day gives the run that the first time made. */
  async execute(
    workflow: string,
    request: Request = {},
    options: { idempotencyKey?: string } = {},
  ): Promise<{ runId: RunId }> {
    const parsed = ExecuteRequest.safeParse(request);
    if (!parsed.success) throw new FleetError('BAD_INPUT', `this request is not valid: ${errorMessage(parsed.error)}`);
    const context = {
      redis: this.#redis,
      prefix: this.#prefix,
      store: this.#store,
      blobs: this.#blobs,
      workflows: this.#workflows,
      sources: this.#sources,
      provider: this.#provider,
    };
    return {
      runId: await executeWorkflow(context, { name: workflow, by: PRODUCER }, parsed.data, options.idempotencyKey),
    };
  }

  /** How a run stands. Throws `NOT_FOUND` for one that does not exist. */
  get(runId: string): Promise<RunRecord> {
    return this.#store.getRun(runId);
  }

  /** A run's events, replayed and then live, until it has ended. */
  async *events(
    runId: string,
    { fromSeq = 0, signal }: { fromSeq?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<RunEvent> {
    const { redisUrl, prefix, store } = { redisUrl: this.#redisUrl, prefix: this.#prefix, store: this.#store };
    this.#signals ??= RunSignals.open({ redisUrl, prefix, store });
    const watch = { store, runId: idOf(runId), fromSeq, ...(signal === undefined ? {} : { signal }) };
    yield* watchWith(await this.#signals, watch);
  }

  /** Waits until a run has ended, and returns its record. */
  async wait(runId: string, options: { signal?: AbortSignal } = {}): Promise<RunRecord> {
    for await (const _ of this.events(runId, options)) void 0;
    options.signal?.throwIfAborted();
    return this.get(runId);
  }

  /** Ends a run. Returns false when it had ended already. */
  cancel(runId: string, reason = 'cancelled by another service'): Promise<boolean> {
    return cancelRun({ redis: this.#redis, prefix: this.#prefix, store: this.#store }, idOf(runId), reason);
  }

  /** Closes every connection; however often it is called. */
  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    const signals = await this.#signals?.catch(() => undefined);
    await signals?.close();
    this.#redis.disconnect();
  }
}

function idOf(runId: string): RunId {
  const id = RunIdSchema.safeParse(runId);
  if (!id.success) throw new FleetError('NOT_FOUND', `"${runId}" is not the id of a run`);
  return id.data;
}
