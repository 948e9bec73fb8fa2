import { type RequestListener, type Server, createServer } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express, { type Express, type RequestHandler } from 'express';
import helmet from 'helmet';
import { z } from 'zod';
import { RunArchive } from '../shared/archive.ts';
import type { BlobStore } from '../shared/blob-store.ts';
import { FleetError } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import { portBusyError } from '../shared/ports.ts';
import { connectRedis } from '../shared/redis.ts';
import type { ProviderName } from '../shared/run-record.ts';
import { RunStore } from '../shared/run-store.ts';
import { assertGuarded, authenticate, guardHost, guardOrigin } from './authenticate.ts';
import { BOARD_PATH, type FleetQueues, boardRoutes, openQueues } from './bull-board.ts';
import { type RunSources, loadRunSources, shippedFolders } from './definitions-builder.ts';
import { EventStreams, type StreamLimits } from './event-streams.ts';
import { FleetFeed } from './fleet-feed.ts';
import { startDepthSampler } from './fleet-status.ts';
import { notFound, problemHandler } from './problem.ts';
import { allow, mountRoutes } from './route.ts';
import { apiRoutes } from './routes.ts';
import { healthRoutes } from './routes-system.ts';
import { RunRepositories } from './run-repositories.ts';
import { RunSignals } from './run-signals.ts';
import { startScheduler } from './scheduler.ts';
import type { ServerContext } from './server-context.ts';

export interface ServerOptions {
  host: string;
  /** 0 takes a free one. */
  port: number;
  redisUrl: string;
  prefix: string;
  blobs: BlobStore;
  /** The folder that holds `workflows/`, and the built viewer in `dist/web/`. */
  packageRoot: string;
  /** Personas, policies and models of the runs that are started here; the shipped ones when left out. */
  sources?: RunSources;
  /** Who plays the personas of runs whose request does not say. */
  provider: ProviderName;
  /** Asked of every request when given; needed for listening anywhere but on this machine alone. */
  token?: string | undefined;
  logger: Logger;
  /** How many event streams are held at most, and how slow their readers may be. */
  streams?: StreamLimits;
}

export interface RunningServer {
  url: string;
  close(): Promise<void>;
}

const CLOSE_DEADLINE_MS = 3_000;

const notReady: RequestListener = (_req, res) => res.writeHead(503, { 'retry-after': '1' }).end();

/** Starts the HTTP service. Throws `PORT_BUSY` at once when the port is taken. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  assertGuarded(options.host, options.token);
  const sources = options.sources ?? (await loadRunSources(shippedFolders(options.packageRoot)));
  let answer = notReady;
  const server = createServer((req, res) => answer(req, res));
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
    const streams = new EventStreams(closing.signal, options.streams);
    const serving = { redis, store, signals, feed, streams, repositories, closing: closing.signal };
    const context: ServerContext = { ...options, sources, ...serving };
    answer = createApp(context, queues, options);
  } catch (err) {
    await close();
    throw err;
  }
  const closed = once(close);
  return { url: urlOf(server, options.host), close: closed };
}

function createApp(context: ServerContext, queues: FleetQueues, { host, token, packageRoot }: ServerOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.use(securityHeaders(), guardHost(host), mountRoutes(healthRoutes(context)));
  app.use(authenticate(token), guardOrigin);
  app.use(BOARD_PATH, allowBoard, boardRoutes(queues));
  app.use(mountRoutes(apiRoutes(context, queues)));
  app.use(allow('read'), express.static(join(packageRoot, 'dist', 'web'), { index: 'index.html', redirect: false }));
  app.use(notFound, problemHandler(context.logger));
  return app;
}

/** Looking needs `read`; what the board can change needs `admin`. */
const allowBoard: RequestHandler = (req, res, next) =>
  allow(req.method === 'GET' || req.method === 'HEAD' ? 'read' : 'admin')(req, res, next);

/** The pages load nothing from elsewhere; Bull Board sets styles and its configuration inline. */
const securityHeaders = () =>
  helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        workerSrc: ["'self'"],
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", 'data:'],
        fontSrc: ["'self'", 'data:'],
        connectSrc: ["'self'"],
        manifestSrc: ["'self'"],
        baseUri: ["'self'"],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    // The service speaks plain HTTP; whoever puts TLS before it sets this there.
    strictTransportSecurity: false,
  });

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

function once(close: () => Promise<void>): () => Promise<void> {
  let closed: Promise<void> | undefined;
  return () => (closed ??= close());
}
