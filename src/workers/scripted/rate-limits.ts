/** What a stand-in allows in a minute; without a number there is no such limit. */
export interface ScriptedLimits {
  requestsPerMinute?: number;
  inputTokensPerMinute?: number;
  outputTokensPerMinute?: number;
}

const KINDS = {
  requests: 'requestsPerMinute',
  'input-tokens': 'inputTokensPerMinute',
  'output-tokens': 'outputTokensPerMinute',
} as const;
type Kind = keyof typeof KINDS;

interface Bucket {
  perMinute: number;
  left: number;
  at: number;
}

/** Buckets that fill up all the time, told in the headers of every answer, as the real API does it. */
export class RateGate {
  readonly #buckets = new Map<Kind, Bucket>();
  readonly #now: () => number;

  constructor(limits: ScriptedLimits = {}, now: () => number = Date.now) {
    this.#now = now;
    for (const kind of ['requests', 'input-tokens', 'output-tokens'] as const) {
      const perMinute = limits[KINDS[kind]];
      if (perMinute !== undefined) this.#buckets.set(kind, { perMinute, left: perMinute, at: now() });
    }
  }

  /** Lets a request pass, or says for how many seconds it has to wait and for want of what. */
  enter(inputTokens: number, maxTokens: number): { waitS: number; kind: Kind } | undefined {
    const wanted: Record<Kind, number> = { requests: 1, 'input-tokens': inputTokens, 'output-tokens': maxTokens };
    for (const [kind, bucket] of this.#buckets) {
      const left = this.#fill(bucket);
      // Whoever asks for more than a whole minute's worth is let through when the bucket is full.
      const need = Math.min(wanted[kind], bucket.perMinute);
      if (left < need) return { waitS: Math.ceil(((need - left) * 60) / bucket.perMinute), kind };
    }
    for (const [kind, bucket] of this.#buckets) bucket.left -= wanted[kind];
    return undefined;
  }

  /** What was asked for and not used comes back. */
  settle(unusedOutput: number): void {
    const bucket = this.#buckets.get('output-tokens');
    if (bucket !== undefined) bucket.left = Math.min(bucket.perMinute, bucket.left + unusedOutput);
  }

  headers(): Record<string, string> {
    const headers: Record<string, string> = {};
    for (const [kind, bucket] of this.#buckets) {
      const left = Math.max(0, Math.floor(this.#fill(bucket)));
      const msToFull = ((bucket.perMinute - left) / bucket.perMinute) * 60_000;
      headers[`anthropic-ratelimit-${kind}-limit`] = String(bucket.perMinute);
      headers[`anthropic-ratelimit-${kind}-remaining`] = String(left);
      headers[`anthropic-ratelimit-${kind}-reset`] = new Date(this.#now() + msToFull).toISOString();
    }
    return headers;
  }

  #fill(bucket: Bucket): number {
    const now = this.#now();
    bucket.left = Math.min(bucket.perMinute, bucket.left + ((now - bucket.at) * bucket.perMinute) / 60_000);
    bucket.at = now;
    return bucket.left;
  }
}
