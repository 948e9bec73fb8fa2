import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { z } from 'zod';
import type { WebhookOptions } from '../../src/producer/webhooks/webhooks.ts';

const Usage = z.object({ rss: z.number(), cpuSeconds: z.number(), loopP99: z.number() });

interface LoadServer {
  redisUrl: string;
  blobs: string;
  root: string;
  webhooks?: WebhookOptions;
}

/** A server in a process of its own, so that what it uses is told apart from what asks it. */
export async function startLoadServer(of: LoadServer) {
  const folder = join(of.root, 'node_modules', '.cache', 'maestro-fleet');
  const outfile = join(folder, `load-server-${process.pid}.mjs`);
  mkdirSync(folder, { recursive: true });
  await build({
    stdin: { contents: program(of), resolveDir: join(of.root, 'tests', 'load'), loader: 'ts' },
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    define: { 'import.meta.url': JSON.stringify(pathToFileURL(join(of.root, 'src', 'shared', 'bundled.js')).href) },
    outfile,
    logLevel: 'error',
  });
  const profiling =
    process.env['LOAD_PROFILE'] === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', process.env['LOAD_PROFILE']];
  const child = spawn(process.execPath, [...profiling, outfile], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const ask = async (question: string): Promise<unknown> => {
    const answered = once(child, 'message');
    if (question !== '') child.send(question);
    const ended = once(child, 'exit').then(() => Promise.reject(new Error('the server ended')));
    ended.catch(() => undefined);
    return z.array(z.unknown()).parse(await Promise.race([answered, ended]))[0];
  };
  const url = z.string().parse(await ask(''));
  return {
    url,
    usage: async () => Usage.parse(await ask('usage')),
    stop: async () => {
      const ended = once(child, 'exit');
      child.send('stop');
      await ended;
    },
  };
}

const program = ({ redisUrl, blobs, root, webhooks }: LoadServer): string => `
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { startServer } from '../../src/producer/server.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
const server = await startServer({
  host: '127.0.0.1', port: 0, redisUrl: ${JSON.stringify(redisUrl)}, prefix: '{load}',
  blobs: openBlobStore(${JSON.stringify(blobs)}), packageRoot: ${JSON.stringify(root)}, provider: 'scripted',
  logger: silentLogger(), limits: { perToken: 10_000_000 },
  webhooks: ${JSON.stringify(webhooks)},
});
const delay = monitorEventLoopDelay({ resolution: 10 });
delay.enable();
process.on('message', async (question) => {
  if (question === 'usage') {
    const { user, system } = process.cpuUsage();
    process.send({ rss: process.memoryUsage.rss(), cpuSeconds: (user + system) / 1e6, loopP99: delay.percentile(99) / 1e6 });
    return;
  }
  await server.close();
  process.disconnect();
});
process.send(server.url);
`;
