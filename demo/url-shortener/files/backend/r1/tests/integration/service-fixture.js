import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startService } from '../../src/backend/service.js';

/**
 * Starts the service on a free port with a data folder of its own, both gone when the test ends.
 *
 * @param {{ after(run: () => Promise<void>): void }} t
 * @param {{ dataDir?: string, log?: (message: string) => void }} [options]
 */
export async function startForTest(t, { dataDir, log } = {}) {
  const folder = dataDir ?? (await mkdtemp(path.join(tmpdir(), 'links-')));
  const host = await startService({ port: 0, dataDir: folder, publicUrl: undefined, ...(log && { log }) });
  t.after(async () => {
    await host.stop();
    if (dataDir === undefined) await rm(folder, { recursive: true });
  });

  /**
   * @param {string} pathname
   * @param {RequestInit} [init]
   */
  const call = (pathname, init) => fetch(host.url + pathname, { redirect: 'manual', ...init });

  /** @param {unknown} body */
  const create = (body) =>
    call('/api/links', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });

  return { host, folder, call, create };
}
