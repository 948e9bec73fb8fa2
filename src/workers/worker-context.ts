import type { BlobStore } from '../shared/blob-store.ts';
import type { Config } from '../shared/config.ts';
import { getJson } from '../shared/blob-store.ts';
import { Definitions, type GivenFiles, type PolicySource } from '../shared/definitions.ts';
import { readGivenFiles } from '../shared/given-files.ts';
import type { Logger } from '../shared/logger.ts';
import type { ModelConfig } from '../shared/model-config.ts';
import { Recent } from '../shared/recent.ts';
import type { Redis } from '../shared/redis.ts';
import type { BlobRef } from '../shared/run-record.ts';
import type { RunStore } from '../shared/run-store.ts';
import type { Sandbox } from '../shared/sandbox/sandbox.ts';
import { type PolicySet, loadPolicySet } from '../gates/load-policy.ts';
import type { Collector } from '../gates/collector.ts';
import type { ReadDocument } from '../gates/document-problems.ts';
import type { MeasuringProcesses } from '../gates/separate/measuring-processes.ts';
import type { MeasuringAids } from '../gates/open-measuring-aids.ts';

/** What every job handler of a worker process shares. */
export interface WorkerContext {
  config: Readonly<Config>;
  redis: Redis;
  /** Each BullMQ worker dials its own blocking connection. */
  redisUrl: string;
  store: RunStore;
  blobs: BlobStore;
  sandbox: Sandbox;
  definitions: DefinitionsCache;
  models: ModelConfig;
  /** The keys of the endpoints that the model file names, by the variable that held each. */
  endpointKeys?: Readonly<Record<string, string>>;
  /** What was proven and measured on this machine; without it nothing is proven first and nothing is reused. */
  measuring?: Partial<MeasuringAids> & {
    /** What measures in this process, where that is not what ships. */
    collectors?: readonly Collector[];
    /** Where collectors run, so that they hold up no conversation. */
    processes?: MeasuringProcesses | undefined;
  };
  logger: Logger;
}

/** Where the documents of one measurement are read, so that they hold up no conversation. */
export const documentReader = ({ measuring }: WorkerContext, signal: AbortSignal): ReadDocument | undefined =>
  measuring?.processes?.readDocument(signal);

export interface LoadedDefinitions {
  definitions: Definitions;
  policySet: PolicySet;
  /** What was handed in with the run. */
  given: GivenFiles;
}

/** The definitions of recent runs, by their address: read and checked once per worker. */
export class DefinitionsCache {
  readonly #blobs: BlobStore;
  readonly #loaded = new Map<BlobRef, Promise<LoadedDefinitions>>();
  /** Most workflows are judged by the same policies, and reading them takes some 50 ms in one go. */
  readonly #policies = new Recent<PolicySet>(20);

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  get(ref: BlobRef): Promise<LoadedDefinitions> {
    const known = this.#loaded.get(ref);
    if (known !== undefined) return known;
    const loading = this.#load(ref);
    this.#loaded.set(ref, loading);
    // A failed read is not remembered: the blob store may come back.
    loading.catch(() => this.#loaded.delete(ref));
    const oldest = this.#loaded.keys().next();
    if (this.#loaded.size > 50 && oldest.done !== true) this.#loaded.delete(oldest.value);
    return loading;
  }

  /** Reads policies, or finds them read. */
  policiesOf(sources: readonly PolicySource[]): PolicySet {
    const key = JSON.stringify(sources);
    const policies = this.#policies.get(key) ?? loadPolicySet(sources);
    this.#policies.set(key, policies);
    return policies;
  }

  async #load(ref: BlobRef): Promise<LoadedDefinitions> {
    const definitions = await getJson(this.#blobs, ref, Definitions);
    const given = await readGivenFiles(this.#blobs, definitions.given);
    return { definitions, policySet: this.policiesOf(definitions.policies), given };
  }
}
