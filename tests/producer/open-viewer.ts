import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll } from 'vitest';
import { type ServerOptions, startServer } from '../../src/producer/server.ts';
import { RunArchive } from '../../src/shared/archive.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { type OpenPage, launchBrowser, openPage } from '../support/browser.ts';
import { testRedis } from '../support/test-redis.ts';
import { fixtureRoot } from './fixture.ts';

/** The service with its pages, and a browser, for all tests of a file. */
export async function openViewer(extra: Partial<ServerOptions> = {}) {
  const at = testRedis();
  const redis = await at.connect();
  const blobFolder = await mkdtemp(join(tmpdir(), 'maestro-blobs-'));
  const blobs = openBlobStore(blobFolder);
  const opened = { url: '' };
  const ends: (() => Promise<unknown>)[] = [];
  let browser: Browser;
  beforeAll(async () => {
    const server = await startServer({
      host: '127.0.0.1',
      port: 0,
      redisUrl: at.url,
      prefix: at.prefix,
      blobs,
      packageRoot: await fixtureRoot(),
      provider: 'scripted',
      logger: silentLogger(),
      ...extra,
    });
    opened.url = server.url;
    browser = await launchBrowser();
    ends.push(
      () => browser.close(),
      () => server.close(),
      () => rm(blobFolder, { recursive: true, force: true }),
    );
  });
  afterAll(async () => {
    for (const end of ends) await end();
  });
  return {
    at,
    redis,
    prefix: at.prefix,
    blobs,
    store: new RunStore(redis, at.prefix, new RunArchive(redis, at.prefix, blobs)),
    /** Where it listens; known when tests begin. */
    opened,
    open: (path: string): Promise<OpenPage> => openPage(browser, opened.url, path),
    browser: (): Browser => browser,
  };
}
