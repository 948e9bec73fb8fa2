import { mkdtemp, rm } from 'node:fs/promises';
import {
  type ServerOptions as NodeServerOptions,
  type RequestListener,
  STATUS_CODES,
  type Server,
  createServer,
} from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { z } from 'zod';
import { RunArchive } from '../shared/archive.ts';
import type { ShelvedBlobs } from '../shared/blob-store.ts';
import { FleetError } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import { once } from '../shared/once.ts';
import { portBusyError } from '../shared/ports.ts';
import { type Redis, connectRedis } from '../shared/redis.ts';
import type { ProviderName } from '../shared/run-record.ts';
import { RunStore } from '../shared/run-store.ts';
import { createApp } from './app.ts';
import { AuditLog } from './audit.ts';
import { CommandFeed } from './command-feed.ts';
import { type Guard, assertGuarded, assertStrong } from './authenticate.ts';
import { openQueues } from './bull-board.ts';
import { type RunSources, loadRunSources, shippedFolders } from './definitions-builder.ts';
import { EventStreams, type StreamLimits } from './event-streams.ts';
import { FailedAuthentications } from './failed-authentications.ts';
import { FleetFeed } from './fleet-feed.ts';
import { problemOf } from './problem.ts';
import { DEFAULT_LIMITS, type RateLimits, RateLimiters } from './rate-limits.ts';
import { startDepthSampler } from './fleet-status.ts';
import { RunRepositories } from './run-repositories.ts';
import { RunSignals } from './run-signals.ts';
import { startScheduler } from './scheduler.ts';
import type { ServerContext } from './server-context.ts';
import { TokenStore } from './tokens.ts';
import { UploadBodies } from './upload-bodies.ts';
import { Uploads, startUploadSweep } from './uploads.ts';
import { WorkflowStore } from './workflow-store.ts';
import { PUBLIC_ONLY, type WebhookOptions, startWebhooks } from './webhooks/webhooks.ts';

export interface ServerOptions {
  host: string;
  /** 0 takes a free one. */
  port: number;
  redisUrl: string;
  prefix: string;
  blobs: ShelvedBlobs;
  /** The folder that holds `workflows/`, and the built viewer in `dist/web/`. */
  packageRoot: string;
  /** Personas, policies and models of the runs that are started here; the shipped ones when left out. */
  sources?: RunSources;
  /** Who plays the personas of runs whose request does not say. */
  provider: ProviderName;
  /** Asked of every request when given; needed for listening anywhere but on this machine alone. */
  token?: string | undefined;
  /** Pages of these origins may use the API. */
  corsOrigins?: readonly string[];
  /** How many proxies stand before the server: the address of a caller is what the first of them saw. */
  trustedProxies?: number;
  limits?: Partial<RateLimits>;
  /** How long a request may take to arrive: its headers, all of it, and an upload of which nothing comes. */
  arrivalMs?: { headers: number; request: number; uploadSilent?: number };
  logger: Logger;
  /** How many event streams are held at most, and how slow their readers may be. */
  streams?: StreamLimits;
  /** Which addresses may be told of events, and how; public ones alone when left out. */
  webhooks?: WebhookOptions;
}

export interface RunningServer {
  url: string;
  close(): Promise<void>;
}

const CLOSE_DEADLINE_MS = 3_000;
const ARRIVAL_MS = { headers: 15_000, request: 120_000 };

const notReady: RequestListener = (_req, res) => res.writeHead(503, { 'retry-after': '1' }).end();

/** Starts the HTTP service. Throws `PORT_BUSY` at once when the port is taken. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  assertStrong(options.token);
  const sources = options.sources ?? (await loadRunSources(shippedFolders(options.packageRoot)));
  let answer = notReady;
  const server = createServer(timeoutsOf(options), (req, res) => answer(req, res));
  server.on('clientError', refuseMalformed);
  // The port comes first: a second server on it says so before it dials anything.
  await listen(server, options);
  const closing = new AbortController();
  const ends: (() => Promise<unknown> | void)[] = [() => closeServer(server)];
  const close = async (): Promise<void> => {
    closing.abort();
    for (const end of ends.splice(0)) await end();
  };
  try {
    const redis = await connectRedis(options.redisUrl, 'server');
    ends.push(() => redis.disconnect());
    const access = openAccess(redis, options);
    await assertGuarded(access.guard);
    ends.splice(1, 0, () => access.audit.close());
    const store = new RunStore(redis, options.prefix, new RunArchive(redis, options.prefix, options.blobs));
    const signals = await RunSignals.open({ redisUrl: options.redisUrl, prefix: options.prefix, store });
    ends.splice(1, 0, () => signals.close());
    const queues = openQueues(redis, options.prefix, Object.keys(sources.personas));
    ends.splice(1, 0, () => queues.close());
    const sampler = startDepthSampler({ redis, prefix: options.prefix, queues });
    ends.splice(1, 0, () => sampler.close());
    const scheduler = await startScheduler({ ...options, store });
    ends.splice(1, 0, () => scheduler.close());
    const scratch = await mkdtemp(join(tmpdir(), 'maestro-serve-'));
    ends.push(() => rm(scratch, { recursive: true, force: true }));
    const repositories = new RunRepositories({ store, blobs: options.blobs, scratch });
    const feed = new FleetFeed({ redis, prefix: options.prefix, store });
    signals.listenToFleet(() => feed.grown());
    const { audit, guard } = access;
    const streams = new EventStreams({
      ...options,
      closing: closing.signal,
      redis,
      tokens: () => guard.tokens.list(),
      limits: options.streams,
    });
    const sending = await startWebhooks({ ...options, redis, feed, signals, options: options.webhooks ?? PUBLIC_ONLY });
    ends.splice(1, 0, () => sending.close());
    const webhooks = sending.store;
    const sweep = startUploadSweep(new Uploads({ ...options, redis }), options.logger);
    ends.splice(1, 0, () => sweep.close());
    const workflows = new WorkflowStore({ ...options, sources, redis });
    const serving = {
      workflows,
      uploadBodies: new UploadBodies(options.arrivalMs?.uploadSilent),
      redis,
      store,
      signals,
      feed,
      commands: new CommandFeed({ redis, prefix: options.prefix, store }),
      streams,
      webhooks,
      repositories,
      audit,
      closing: closing.signal,
    };
    const context: ServerContext = { ...options, sources, ...serving };
    answer = createApp(context, queues, { ...options, ...access });
  } catch (err) {
    await close();
    throw err;
  }
  const closed = once(close);
  return { url: urlOf(server, options.host), close: closed };
}

/** Who sends a request a byte at a time holds a connection no longer than this. */
const timeoutsOf = ({ arrivalMs: { headers, request } = ARRIVAL_MS }: ServerOptions): NodeServerOptions => ({
  headersTimeout: headers,
  requestTimeout: request,
  connectionsCheckingInterval: Math.min(headers, 5_000),
});

/** What the server refuses before there is a request, in the words of any other refusal. */
function refuseMalformed(err: Error & { code?: string }, socket: Duplex): void {
  if (err.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = MALFORMED[err.code ?? ''] ?? 400;
  const body = JSON.stringify(problemOf(status, 'BAD_INPUT', {}));
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/problem+json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
  // Whoever goes on sending does not keep the request alive, nor its place among those that are read.
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}
/** So long a sender has to take the answer: a connection that is closed on unread bytes may lose it. */
const LINGER_MS = 1_000;
const MALFORMED: Partial<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/** Who may ask, how often, and what is written down of it. */
function openAccess(redis: Redis, options: ServerOptions): { guard: Guard; audit: AuditLog } {
  const { host, token, prefix, limits, logger } = options;
  const limiters = new RateLimiters(redis, prefix, { ...DEFAULT_LIMITS, ...limits });
  const audit = new AuditLog(redis, prefix);
  const failures = new FailedAuthentications({ redis, prefix, audit, logger });
  return { guard: { host, token, tokens: new TokenStore(redis, prefix), limiters, failures }, audit };
}

const SystemError = z.object({ code: z.string() });

interface ListenFault {
  why: string;
  remedy: string;
}
const NO_NAME: ListenFault = {
  why: 'no address is known by this name',
  remedy: 'Give `--host` an address of this machine, such as 127.0.0.1.',
};
/** What is wrong with the host or port that was asked for, and what to do. */
const LISTEN_FAULTS: Partial<Record<string, ListenFault>> = {
  EACCES: {
    why: 'this user may not use the port',
    remedy: 'Choose a port above 1023; `--port 0` takes a free one.',
  },
  EADDRNOTAVAIL: {
    why: 'this machine does not have the address',
    remedy: 'Give `--host` an address of this machine.',
  },
  ENOTFOUND: NO_NAME,
  EAI_AGAIN: NO_NAME,
};

async function listen(server: Server, { host, port }: ServerOptions): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, exclusive: true }, resolve);
    });
  } catch (err) {
    const { code = '' } = SystemError.safeParse(err).data ?? {};
    if (code === 'EADDRINUSE') throw await portBusyError(port, host);
    const fault = LISTEN_FAULTS[code];
    if (fault === undefined) throw err;
    const { why, remedy } = fault;
    throw new FleetError('BAD_USAGE', `cannot listen on ${host} port ${port}: ${why}`, { cause: err, remedy });
  }
}

function urlOf(server: Server, host: string): string {
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Event streams end by the closing signal; whoever still holds a connection after a while loses it. */
async function closeServer(server: Server): Promise<void> {
  const deadline = setTimeout(() => server.closeAllConnections(), CLOSE_DEADLINE_MS);
  // A connection that is kept alive becomes idle only after its last answer.
  const sweep = setInterval(() => server.closeIdleConnections(), 50);
  await new Promise((resolve) => {
    server.close(resolve);
  });
  clearTimeout(deadline);
  clearInterval(sweep);
}
