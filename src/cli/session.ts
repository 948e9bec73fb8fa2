import { RunArchive } from '../shared/archive.ts';
import { type ShelvedBlobs } from '../shared/blob-store.ts';
import type { Config } from '../shared/config.ts';
import { FleetError, errorMessage } from '../shared/errors.ts';
import { type Logger, createLogger } from '../shared/logger.ts';
import { openBlobStore } from '../shared/open-blob-store.ts';
import { type Redis, type RedisRole, connectRedis, redactUrl } from '../shared/redis.ts';
import { type RedisHandle, findRedis } from '../shared/redis-server.ts';
import { RunStore } from '../shared/run-store.ts';
import type { Terminal } from './terminal.ts';

/** What every command is given: where it was called, its settings, and where it writes. */
export interface CommandContext {
  config: Readonly<Config>;
  cwd: string;
  terminal: Terminal;
  /** Aborted by Ctrl-C and SIGTERM. */
  signal: AbortSignal;
  /** The environment that child processes are started from. */
  env: NodeJS.ProcessEnv;
}

/** Open connections of one command. */
export interface Session {
  config: Readonly<Config>;
  redisUrl: string;
  redis: Redis;
  store: RunStore;
  blobs: ShelvedBlobs;
  logger: Logger;
  server: RedisHandle;
}

/** Opens Redis and the blob store, runs `use`, and closes again whatever happens. */
export async function withSession<T>(
  context: CommandContext,
  /** A long-lived process waits for a Redis that is away for a moment (`worker`); a command fails fast. */
  options: { startRedis: boolean; role?: RedisRole },
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const { config } = context;
  const logger = createLogger({ level: config.logLevel, name: 'maestro' });
  const server = await findRedis({ config, logger, start: options.startRedis ? 'if-needed' : 'never' });
  try {
    const redis = await connectRedis(server.url, options.role ?? 'producer');
    try {
      const blobs = openBlobStore(config.blobs);
      const store = new RunStore(redis, config.prefix, new RunArchive(redis, config.prefix, blobs));
      return await use({
        config,
        redisUrl: server.url,
        redis,
        store,
        blobs,
        logger,
        server,
      });
    } catch (err) {
      throw err instanceof FleetError || redis.status === 'ready' ? err : lost(server.url, err);
    } finally {
      redis.disconnect();
    }
  } finally {
    await server.stop();
  }
}

const lost = (url: string, cause: unknown): FleetError =>
  new FleetError('REDIS_UNAVAILABLE', `the connection to Redis at ${redactUrl(url)} is lost: ${errorMessage(cause)}`, {
    cause,
    remedy: 'Start it again; runs go on where they were.',
  });
