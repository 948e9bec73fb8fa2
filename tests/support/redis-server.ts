import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { readConfig } from '../../src/shared/config.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { findRedis } from '../../src/shared/redis-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A real Redis of this test run alone. */
    redisUrl: string;
  }
}

/** Starts one private Redis for the whole test run, in the way the product itself does, and stops it at the end. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const home = await mkdtemp(join(tmpdir(), 'maestro-tests-'));
  const { cache } = readConfig({ XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] }, home);
  const redis = await findRedis({
    config: { redisUrl: undefined, home, cache },
    logger: silentLogger(),
    start: 'if-needed',
  });
  project.provide('redisUrl', redis.url);
  return async () => {
    await redis.stop();
    await rm(home, { recursive: true, force: true });
  };
}
