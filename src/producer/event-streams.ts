import { once } from 'node:events';
import type { Response } from 'express';
import { FleetError, errorMessage } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import type { Redis } from '../shared/redis.ts';
import { type Principal, principalOf } from './principal.ts';
import { StreamPlaces } from './stream-places.ts';
import type { TokenRecord } from './tokens.ts';

const HEARTBEAT_MS = 15_000;
/** How long a reader may take for what was sent to it, before its stream is ended. */
const SLOW_MS = 60_000;
/** How often it is looked at whether the tokens of the readers still hold: once for all streams together. */
const RECHECK_MS = 20_000;
/** A place of a token lapses when its server has not said so many times that it is taken. */
const LEASE_RECHECKS = 3;
/** How many streams one process holds. */
const MOST_STREAMS = 10_000;
/** What a client is told to wait before it connects again. */
const RETRY_MS = 1_000;

export interface StreamLimits {
  heartbeatMs?: number;
  slowMs?: number;
  recheckMs?: number;
  most?: number;
  /** Of one token, over all servers. */
  mostPerToken?: number | undefined;
}

/** One stream of server-sent events to one reader. */
export interface EventStream {
  /** Aborted when the reader has gone, or the server closes. */
  signal: AbortSignal;
  /** Sends one frame, and waits while the reader has not taken what was sent before. */
  send: (frame: string) => Promise<void>;
}

/** The event streams of this process: how many there may be, and how slow their readers. */
export class EventStreams {
  readonly #limits: Required<Omit<StreamLimits, 'mostPerToken'>>;
  readonly #places: StreamPlaces;
  readonly #closing: AbortSignal;
  readonly #open = new Map<Response, { principal: Principal; end: () => void }>();
  readonly #tokens: () => Promise<TokenRecord[]>;
  readonly #logger: Logger;
  #slow = 0;

  constructor(of: {
    closing: AbortSignal;
    redis: Redis;
    prefix: string;
    /** Those that there are now. */
    tokens: () => Promise<TokenRecord[]>;
    logger: Logger;
    limits?: StreamLimits | undefined;
  }) {
    const {
      heartbeatMs = HEARTBEAT_MS,
      slowMs = SLOW_MS,
      recheckMs = RECHECK_MS,
      most = MOST_STREAMS,
      mostPerToken,
    } = of.limits ?? {};
    this.#closing = of.closing;
    this.#tokens = of.tokens;
    this.#logger = of.logger;
    this.#limits = { heartbeatMs, slowMs, recheckMs, most };
    this.#places = new StreamPlaces({ ...of, most: mostPerToken, leaseMs: LEASE_RECHECKS * recheckMs });
    const recheck = setInterval(() => {
      void this.#endUnauthorised();
      void this.#places.renew();
    }, recheckMs).unref();
    of.closing.addEventListener('abort', () => clearInterval(recheck), { once: true });
  }

  /** Ends the streams of tokens that were revoked or have expired, and of readers without one since there are tokens. */
  async #endUnauthorised(): Promise<void> {
    if (this.#open.size === 0) return;
    try {
      const tokens = await this.#tokens();
      const active = new Set(tokens.flatMap(({ id, status }) => (status === 'active' ? [id] : [])));
      for (const { principal, end } of this.#open.values()) if (!holds(principal, active, tokens.length)) end();
    } catch (err) {
      // The next look finds them.
      this.#logger.warn({ reason: errorMessage(err) }, 'tokens of event streams could not be looked at');
    }
  }

  /** Streams that are open, bytes that wait in them for their readers, and how many were ended for being too slow. */
  stats(): { open: number; waitingBytes: number; endedSlow: number } {
    const waitingBytes = [...this.#open.keys()].reduce((sum, res) => sum + res.writableLength, 0);
    return { open: this.#open.size, waitingBytes, endedSlow: this.#slow };
  }

  /**
   * Answers with server-sent events as long as `write` sends any. A reader that takes nothing holds up nobody but
   * itself: what it has not taken stays in the log. It is ended after a while, and may go on from where it was.
   */
  async serve(res: Response, write: (stream: EventStream) => Promise<void>): Promise<void> {
    await this.#places.use(principalOf(res.req), () => this.#serve(res, write));
  }

  async #serve(res: Response, write: (stream: EventStream) => Promise<void>): Promise<void> {
    // Whoever left while the request was looked at will not be heard leaving once more.
    if (res.destroyed) return;
    if (this.#open.size >= this.#limits.most)
      throw new FleetError('API_UNAVAILABLE', `this server has its ${this.#limits.most} event streams open`, {
        retry: true,
        remedy: 'Try again later, or ask another server.',
      });
    const gone = new AbortController();
    res.on('close', () => gone.abort());
    const signal = AbortSignal.any([gone.signal, this.#closing]);
    res.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    res.write(`retry: ${RETRY_MS}\n\n`);
    const send = (frame: string): Promise<void> => this.#send(res, frame, signal);
    const heartbeat = setInterval(() => {
      if (!res.writableNeedDrain) void send(': still here\n\n').catch(() => undefined);
    }, this.#limits.heartbeatMs);
    const end = (): void => {
      if (gone.signal.aborted) return;
      clearInterval(heartbeat);
      res.write(': this token no longer holds: it was revoked or has expired\n\n');
      gone.abort();
      // A reader that takes nothing does not get to hear of it.
      setTimeout(() => res.destroy(), this.#limits.slowMs).unref();
    };
    this.#open.set(res, { principal: principalOf(res.req), end });
    try {
      await write({ signal, send });
    } finally {
      clearInterval(heartbeat);
      this.#open.delete(res);
      res.end();
    }
  }

  async #send(res: Response, frame: string, signal: AbortSignal): Promise<void> {
    // Nothing follows the word on why it ends.
    if (signal.aborted || res.write(frame)) return;
    const slow = setTimeout(() => {
      this.#slow += 1;
      res.destroy();
    }, this.#limits.slowMs);
    try {
      await once(res, 'drain', { signal });
    } finally {
      clearTimeout(slow);
    }
  }
}

function holds({ kind, tokenId = '' }: Principal, active: ReadonlySet<string>, tokens: number): boolean {
  if (kind === 'token') return active.has(tokenId);
  // Who needed no token needs one as soon as there is any.
  return kind !== 'local' || tokens === 0;
}
