import { join } from 'node:path';
import { FleetError, errorMessage } from '../../shared/errors.ts';
import { withFileLock } from '../../shared/file-lock.ts';
import type { Logger } from '../../shared/logger.ts';
import type { Sandbox } from '../../shared/sandbox/sandbox.ts';
import type { Collector } from '../collector.ts';
import type { SealedCache } from '../sealed-cache.ts';
import { toolFingerprint } from '../tool-fingerprint.ts';
import { selfTests } from './registry.ts';
import { notRun, runSelfTest } from './run-self-test.ts';
import { type SelfTest, SelfTestResult, type SelfTestResults, faultOfProof, joinProofs } from './self-test.ts';

const HOUR_MS = 3_600_000;
/** A passed self-test is repeated after this time even when nothing changed. */
const MAX_AGE_MS = 7 * 24 * HOUR_MS;
/** A failed one is repeated when it is needed again, but not for every measurement. */
const RETRY_MS = 60_000;
const LOCK_WAIT_MS = 240_000;
const KEY_VERSION = 1;

export interface ProvenCollectorsOptions {
  sandbox: Sandbox;
  logger: Logger;
  /** Where passed self-tests are kept for the other processes of this machine; without it, each runs its own. */
  cache?: SealedCache | undefined;
  definitions?: Readonly<Record<string, SelfTest>>;
  /** Where tools are unpacked. */
  toolCache?: string | undefined;
  /** Told of each self-test that runs now. */
  announce?: ((collector: string) => void) | undefined;
  /** Ends running self-tests. */
  signal: AbortSignal;
}

/** What is self-tested of a collector: itself, or each of its parts. */
export const partsOf = (collector: Collector): readonly Collector[] => collector.parts?.all ?? [collector];

interface Proof {
  result: Promise<SelfTestResult | undefined>;
  failedAt?: number;
}

/** Runs each collector's self-test when it is first needed, once for this machine and these tools. */
export class ProvenCollectors implements SelfTestResults {
  readonly #options: ProvenCollectorsOptions;
  readonly #known = new Map<string, Proof>();

  constructor(options: ProvenCollectorsOptions) {
    this.#options = options;
  }

  /** The result of a collector's self-test, which runs now unless it is known. Undefined when it has none. */
  async resultOf(collector: Collector, signal: AbortSignal, root?: string): Promise<SelfTestResult | undefined> {
    if (collector.parts === undefined) return this.#resultOfOne(collector, signal);
    const parts = root === undefined ? collector.parts.all : await collector.parts.of(root);
    const proofs: [Collector, SelfTestResult | undefined][] = [];
    for (const part of parts) proofs.push([part, await this.#resultOfOne(part, signal)]);
    return joinProofs(collector, proofs);
  }

  async #resultOfOne(collector: Collector, signal: AbortSignal): Promise<SelfTestResult | undefined> {
    const name = `${collector.id}@${collector.version}`;
    const known = this.#known.get(name);
    const isOutdated = known?.failedAt !== undefined && Date.now() - known.failedAt > RETRY_MS;
    const entry = known === undefined || isOutdated ? this.#begin(name, collector) : known;
    return orCancelled(entry.result, signal);
  }

  #begin(name: string, collector: Collector): Proof {
    const proof: Proof = { result: this.#prove(collector) };
    this.#known.set(name, proof);
    const settle = async (): Promise<void> => {
      try {
        if ((await proof.result)?.passed !== true) proof.failedAt = Date.now();
      } catch {
        // Whoever waits for it is told; here it only must not be remembered.
        this.#known.delete(name);
      }
    };
    void settle();
    return proof;
  }

  /** Proves collectors one after the other, the quickest first, and says in one line how it went. */
  async proveAll(collectors: readonly Collector[]): Promise<string> {
    const startedAt = performance.now();
    const parts = collectors.flatMap(partsOf);
    const faults: string[] = [];
    const left = new Map<string, string[]>();
    for (const collector of parts.toSorted((a, b) => a.timeoutMs - b.timeoutMs)) {
      const lacks = await this.lacks(collector);
      if (lacks !== undefined) {
        left.set(lacks, [...(left.get(lacks) ?? []), collector.id]);
        continue;
      }
      const fault = faultOfProof(collector, await this.resultOf(collector, this.#options.signal));
      if (fault !== undefined) faults.push(fault);
    }
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    const tried = parts.length - [...left.values()].flat().length;
    const line = `self-test: ${tried - faults.length} of ${tried} collectors tell good from bad on this machine (${seconds} s)`;
    const others = [...left].map(([why, ids]) => `; ${why}: what ${ids.join(', ')} would measure is in error`);
    return `${line}${others.join('')}${faults.length === 0 ? '' : `; metrics of the others block: ${faults.join('; ')}`}`;
  }

  /** Why the self-test of a collector cannot be run with what is on this machine now, or undefined. */
  async lacks(collector: Collector): Promise<string | undefined> {
    const { definitions = selfTests, sandbox, logger, signal } = this.#options;
    const selfTest = definitions[collector.id];
    return selfTest && notRun({ selfTest, sandbox, logger, signal }, { fetch: false });
  }

  async #prove(collector: Collector): Promise<SelfTestResult | undefined> {
    const { cache, definitions = selfTests, sandbox } = this.#options;
    const selfTest = definitions[collector.id];
    if (selfTest === undefined) return undefined;
    if (cache === undefined) return this.#run(collector, selfTest);
    const key = JSON.stringify({
      format: KEY_VERSION,
      collector: collector.id,
      version: collector.version,
      tools: await toolFingerprint(this.#options.toolCache),
      sandbox: [sandbox.kind, sandbox.description],
    });
    const known = await readPassed(cache, key);
    if (known !== undefined) return known;
    const prove = async (): Promise<SelfTestResult> => {
      const meanwhile = await readPassed(cache, key);
      if (meanwhile !== undefined) return meanwhile;
      const result = await this.#run(collector, selfTest);
      if (result.passed) await cache.write(key, result);
      return result;
    };
    try {
      return await withFileLock(join(cache.folder, `${collector.id}.lock`), LOCK_WAIT_MS, prove);
    } catch (err) {
      if (!(err instanceof FleetError) || err.code !== 'CONFLICT') throw err;
      this.#options.logger.warn(
        { collector: collector.id, reason: errorMessage(err) },
        'self-test is run beside another',
      );
      return prove();
    }
  }

  /** A failure may be the machine's bad moment, such as a limit that ran out: only a second one counts. */
  async #run(collector: Collector, selfTest: SelfTest): Promise<SelfTestResult> {
    const { sandbox, logger, signal, announce } = this.#options;
    announce?.(collector.id);
    const result = await runSelfTest({ collector, selfTest, sandbox, logger, signal });
    if (result.passed || (await this.lacks(collector)) !== undefined) return result;
    logger.warn({ collector: collector.id, reason: result.reason }, 'self-test did not pass and is run again');
    return runSelfTest({ collector, selfTest, sandbox, logger, signal });
  }
}

async function readPassed(cache: SealedCache, key: string): Promise<SelfTestResult | undefined> {
  const parsed = SelfTestResult.safeParse(await cache.read(key));
  const age = parsed.success ? Date.now() - Date.parse(parsed.data.at) : Number.NaN;
  return parsed.success && parsed.data.passed && age >= 0 && age < MAX_AGE_MS ? parsed.data : undefined;
}

/** Whoever waits may leave; the self-test itself goes on, because others wait for it too. */
async function orCancelled<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const done = new AbortController();
  const cancelled = new Promise<never>((_, reject) => {
    const leave = (): void => reject(new FleetError('CANCELLED', 'measuring was cancelled'));
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true, signal: done.signal });
  });
  try {
    return await Promise.race([work, cancelled]);
  } finally {
    done.abort();
  }
}
