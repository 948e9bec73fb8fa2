import { type Server, type ServerResponse, createServer } from 'node:http';
import { FleetError, errorMessage } from '../shared/errors.ts';
import { portBusyError } from '../shared/ports.ts';
import type { Redis } from '../shared/redis.ts';
import type { WorkerStanding } from '../shared/worker-registry.ts';
import type { Presence } from './presence.ts';
import { HELD_MS, type LoopBusy, RESOLUTION_MS } from './loop-stretches.ts';
import type { Vitals } from './vitals.ts';

export interface HealthServer {
  url: string;
  close(): Promise<void>;
}

const REDIS_ANSWER_MS = 2_000;

/**
 * Tells whoever runs this process how it is: `/healthz` while it runs, `/readyz` while it takes jobs, `/metrics` for
 * Prometheus. It tells nothing of any run, and takes nothing.
 */
export async function startHealthServer(of: {
  host: string;
  port: number;
  redis: Redis;
  /** Undefined while the worker starts. */
  presence: () => Presence | undefined;
}): Promise<HealthServer> {
  const server = createServer((req, res) => {
    void answer(of, req.method ?? '', (req.url ?? '').split('?')[0] ?? '', res);
  });
  await listen(server, of.host, of.port);
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : of.port;
  return {
    url: `http://${of.host.includes(':') ? `[${of.host}]` : of.host}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  { redis, ...of }: { redis: Redis; presence: () => Presence | undefined },
  method: string,
  path: string,
  res: ServerResponse,
): Promise<void> {
  if (method !== 'GET' && method !== 'HEAD') return send(res, 405, { status: 'method not allowed' });
  const presence = of.presence();
  if (presence === undefined)
    return send(res, path === '/healthz' ? 200 : 503, { status: path === '/healthz' ? 'ok' : 'starting' });
  const worker = presence.standing();
  if (path === '/healthz') return send(res, 200, { status: 'ok', state: worker.state });
  if (path === '/readyz') {
    const problem = worker.state === 'draining' ? 'draining' : await redisProblem(redis);
    return send(res, problem === undefined ? 200 : 503, {
      status: problem === undefined ? 'ready' : 'unavailable',
      ...(problem === undefined ? {} : { reason: problem }),
      ...worker,
      loopDelay: presence.vitals.whole,
      loopBusy: presence.vitals.busy,
    });
  }
  if (path !== '/metrics') return send(res, 404, { status: 'not found' });
  const text = workerMetrics(worker, presence.vitals);
  res.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(text);
}

function send(res: ServerResponse, status: number, body: object): void {
  res.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
}

/** Why Redis cannot be worked with at the moment, if so. */
async function redisProblem(redis: Redis): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`Redis does not answer within ${REDIS_ANSWER_MS} ms`), REDIS_ANSWER_MS);
  });
  try {
    return await Promise.race([redis.ping().then(() => undefined), late]);
  } catch (err) {
    return errorMessage(err);
  } finally {
    clearTimeout(timer);
  }
}

const metric = (name: string, type: 'gauge' | 'counter', help: string, values: readonly string[]): string[] => [
  `# HELP ${name} ${help}`,
  `# TYPE ${name} ${type}`,
  ...values.map((value) => `${name}${value}`),
];

function workerMetrics(worker: WorkerStanding, { whole: delay, busy, cpuSeconds }: Vitals): string {
  const loop = 'maestro_worker_event_loop_delay_seconds';
  return `${[
    ...metric(
      'maestro_worker_jobs_active',
      'gauge',
      'Jobs under way, by queue.',
      Object.entries(worker.active).map(([queue, jobs]) => `{queue="${queue}"} ${jobs}`),
    ),
    ...metric('maestro_worker_conversations', 'gauge', 'Conversations with a model under way.', [
      ` ${worker.conversations}`,
    ]),
    ...metric(
      'maestro_worker_max_conversations',
      'gauge',
      'Conversations that the process may hold at once.',
      worker.maxConversations === undefined ? [] : [` ${worker.maxConversations}`],
    ),
    ...metric('maestro_worker_jobs_ended_total', 'counter', 'Jobs that ended in this process.', [
      `{outcome="done"} ${worker.done}`,
      `{outcome="failed"} ${worker.failed}`,
    ]),
    ...metric('maestro_worker_draining', 'gauge', '1 while the worker takes no new jobs and is about to end.', [
      ` ${worker.state === 'draining' ? 1 : 0}`,
    ]),
    ...metric('maestro_worker_resident_memory_bytes', 'gauge', 'Memory of the process.', [` ${worker.rssBytes}`]),
    ...metric('maestro_worker_cpu_seconds_total', 'counter', 'Processor time of the process.', [` ${cpuSeconds}`]),
    ...metric(loop, 'gauge', 'How late the event loop was since the process began, by quantile.', [
      `{quantile="0.5"} ${delay.p50Ms / 1000}`,
      `{quantile="0.99"} ${delay.p99Ms / 1000}`,
      `{quantile="1"} ${delay.maxMs / 1000}`,
    ]),
    ...(busy === undefined ? [] : busyMetrics(busy)),
  ].join('\n')}\n`;
}

const busyMetrics = ({ p99Ms, maxMs, heldMs }: LoopBusy): string[] => [
  ...metric(
    'maestro_worker_event_loop_busy_seconds',
    'gauge',
    `Processor time of the main thread between two looks at the event loop ${RESOLUTION_MS} ms apart, by quantile.`,
    [`{quantile="0.99"} ${p99Ms / 1000}`, `{quantile="1"} ${maxMs / 1000}`],
  ),
  ...metric(
    'maestro_worker_event_loop_held_seconds_total',
    'counter',
    `Processor time of the main thread in stretches that held the event loop for more than ${HELD_MS} ms.`,
    [` ${heldMs / 1000}`],
  ),
];

async function listen(server: Server, host: string, port: number): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, exclusive: true }, resolve);
    });
  } catch (err) {
    if (err instanceof Error && 'code' in err && err.code === 'EADDRINUSE') throw await portBusyError(port, host);
    throw new FleetError('BAD_USAGE', `cannot listen on ${host} port ${port}: ${errorMessage(err)}`, {
      cause: err,
      remedy: 'Give `--health-host` an address of this machine, and `--health-port` a free port above 1023.',
    });
  }
}
