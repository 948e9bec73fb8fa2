import { once } from 'node:events';
import { join } from 'node:path';
import type { RunSources } from '../../producer/definitions-builder.ts';
import { startServer } from '../../producer/server.ts';
import { EXIT, FleetError } from '../../shared/errors.ts';
import { PACKAGE_ROOT } from '../../shared/package-root.ts';
import { connectRedis } from '../../shared/redis.ts';
import { ProviderName } from '../../shared/run-record.ts';
import { type ChildWorker, sharedSettings, startChildWorker } from '../children.ts';
import { type PolicyFlags, ownPersonas, runSources } from '../policies.ts';
import { type CommandContext, type Session, withSession } from '../session.ts';
import { SIMULATED } from './run.ts';

export interface ServeFlags extends PolicyFlags {
  host: string;
  port: number;
  provider: string;
}

const openServer = (
  context: CommandContext,
  session: Session,
  flags: ServeFlags & { sources: RunSources },
): ReturnType<typeof startServer> =>
  startServer({
    host: flags.host,
    port: flags.port,
    token: context.config.apiToken,
    corsOrigins: context.config.corsOrigins,
    trustedProxies: context.config.trustedProxies,
    limits: context.config.rateLimit === undefined ? {} : { perToken: context.config.rateLimit },
    streams: { mostPerToken: context.config.streamLimit },
    redisUrl: session.redisUrl,
    prefix: session.config.prefix,
    blobs: session.blobs,
    packageRoot: PACKAGE_ROOT,
    sources: flags.sources,
    provider: ProviderName.parse(flags.provider),
    logger: session.logger,
    webhooks: session.config.webhooks,
  });

/** `maestro serve`: the HTTP API, the run viewer and Bull Board. */
export async function serveCommand(context: CommandContext, flags: ServeFlags): Promise<number> {
  const sources = await runSources(context, flags);
  return withSession(context, { startRedis: false }, async (session) => {
    const server = await openServer(context, session, { ...flags, sources });
    context.terminal.err(`serving ${server.url}/ (queues: ${server.url}/queues, API: ${server.url}/openapi.json)`);
    if (!context.signal.aborted) await once(context.signal, 'abort');
    await server.close();
    return EXIT.passed;
  });
}

/** `maestro up`: Redis, API and workers on this machine, until Ctrl-C. */
export async function upCommand(
  context: CommandContext,
  flags: ServeFlags & { workers: number; concurrency: number },
): Promise<number> {
  const { terminal, config, signal, env } = context;
  // What is wrong with the policies is said before anything is started.
  const sources = await runSources(context, flags);
  return withSession(context, { startRedis: true }, async (session) => {
    const workers: ChildWorker[] = [];
    const server = await openServer(context, session, { ...flags, sources });
    try {
      terminal.err(`redis    ${session.server.description}`);
      const isScripted = flags.provider === 'scripted';
      const childEnv = {
        ...env,
        ...(await sharedSettings(config, session.redisUrl)),
        ...ownPersonas(context, flags),
      };
      const args = ['--concurrency', String(flags.concurrency), ...(isScripted ? ['--provider', 'scripted'] : [])];
      for (let index = 1; index <= flags.workers; index += 1) {
        const worker = await startChildWorker({
          name: `worker-${index}`,
          home: join(config.home, 'workers'),
          env: childEnv,
          args,
          drainMs: config.drainMs,
          signal,
        });
        workers.push(worker);
        terminal.err(`worker   ${worker.name}, log in ${worker.logFile}`);
      }
      terminal.err(`serving  ${server.url}/ (queues: ${server.url}/queues); Ctrl-C stops everything`);
      if (isScripted) terminal.err(SIMULATED);
      if (!signal.aborted) await Promise.race([once(signal, 'abort'), ...workers.map((worker) => worker.failed)]);
      if (isScripted) terminal.err(SIMULATED);
      return EXIT.passed;
    } finally {
      // Without Redis nothing that they do can be handed in.
      const isLost = !(await answers(session.redisUrl));
      await Promise.all(workers.map((worker) => worker.stop(isLost)));
      await server.close();
    }
  });
}

async function answers(redisUrl: string): Promise<boolean> {
  try {
    const redis = await connectRedis(redisUrl, 'producer');
    redis.disconnect();
    return true;
  } catch (err) {
    if (err instanceof FleetError && err.code === 'REDIS_UNAVAILABLE') return false;
    throw err;
  }
}
