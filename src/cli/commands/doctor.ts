import { statfs } from 'node:fs/promises';
import { homedir } from 'node:os';
import { errorMessage, EXIT, FleetError } from '../../shared/errors.ts';
import { unservedQueues } from '../../producer/queue-workers.ts';
import { openBlobStore } from '../../shared/open-blob-store.ts';
import { portOwner } from '../../shared/ports.ts';
import { runProcess } from '../../shared/process.ts';
import { PutBackLog } from '../../shared/put-back.ts';
import { checkRedis, findRedis } from '../../shared/redis-server.ts';
import { connectRedis } from '../../shared/redis.ts';
import { openSandbox } from '../../shared/sandbox/open-sandbox.ts';
import { createLogger } from '../../shared/logger.ts';
import { allPersonas } from '../policies.ts';
import type { CommandContext } from '../session.ts';
import { count } from '../text.ts';

interface Check {
  name: string;
  ok: boolean;
  detail: string;
  remedy: string;
}

const MIN_FREE_GIB = 2;

/** `maestro doctor`: looks at everything a worker needs on this machine; changes nothing. */
export async function doctorCommand(context: CommandContext, flags: { json?: boolean }): Promise<number> {
  const { terminal } = context;
  const checks: Check[] = [];
  for (const [name, check] of CHECKS) {
    try {
      checks.push({ name, ok: true, remedy: '', detail: await check(context) });
    } catch (err) {
      checks.push({
        name,
        ok: false,
        detail: errorMessage(err),
        remedy: err instanceof FleetError ? (err.remedy ?? '') : '',
      });
    }
  }
  if (flags.json === true) terminal.out(JSON.stringify({ checks }, null, 2));
  const width = Math.max(...checks.map((check) => check.name.length));
  for (const check of flags.json === true ? [] : checks) {
    const mark = check.ok ? terminal.outColors.green('✔') : terminal.outColors.red('✘');
    terminal.out(`${mark} ${check.name.padEnd(width)}  ${check.detail}`);
    if (check.remedy !== '') terminal.out(`  ${' '.repeat(width)}  ${check.remedy}`);
  }
  return checks.every((check) => check.ok) ? EXIT.passed : EXIT.unavailable;
}

const fail = (message: string, remedy: string): never => {
  throw new FleetError('TOOL_UNAVAILABLE', message, { remedy });
};

const CHECKS: readonly [string, (context: CommandContext) => Promise<string>][] = [
  ['node', (): Promise<string> => Promise.resolve(`${process.version} at ${process.execPath}`)],
  [
    'git',
    async ({ env, cwd }) => {
      const { stdout } = await runProcess({
        argv: ['git', '--version'],
        cwd,
        env: { PATH: env['PATH'] ?? '' },
        timeoutMs: 10_000,
        outputBytes: 10_000,
      });
      return stdout.trim();
    },
  ],
  [
    'redis',
    async ({ config }) => {
      const logger = createLogger({ level: 'silent', name: 'doctor' });
      const server = await findRedis({ config, logger, start: 'never' });
      const redis = await connectRedis(server.url, 'producer');
      try {
        await checkRedis(redis);
        const before = performance.now();
        await redis.ping();
        return `${server.description}, answers in ${(performance.now() - before).toFixed(1)} ms`;
      } finally {
        redis.disconnect();
      }
    },
  ],
  [
    'queues',
    async (context) => {
      const { config } = context;
      const server = await findRedis({
        config,
        logger: createLogger({ level: 'silent', name: 'doctor' }),
        start: 'never',
      });
      const redis = await connectRedis(server.url, 'producer');
      try {
        const personas = Object.keys(await allPersonas(context, {}));
        const unserved = await unservedQueues({ redis, config }, personas);
        const putBack = await new PutBackLog(redis, config.prefix).recent();
        const problems = [
          ...unserved.map(({ queue, jobs }) => `no worker consumes ${queue} (${count(jobs, 'job')} waiting)`),
          ...putBack.map(({ jobId, reason }) => `${jobId} was put back: ${reason}`),
        ];
        return problems.length === 0
          ? 'a worker consumes every queue that holds work'
          : fail(problems.join('; '), 'Start one with `maestro worker`, of the version that made the work.');
      } finally {
        redis.disconnect();
      }
    },
  ],
  [
    'sandbox',
    async ({ config }) => {
      const sandbox = await openSandbox({
        mode: config.sandbox,
        cache: config.cache,
        logger: createLogger({ level: 'silent', name: 'doctor' }),
      });
      return sandbox.description;
    },
  ],
  [
    'blobs',
    async ({ config }) => {
      const store = openBlobStore(config.blobs);
      const ref = await store.put(Buffer.from('maestro doctor'));
      await store.get(ref);
      return `${store.location}, written and read back`;
    },
  ],
  [
    'model',
    async ({ config }) => {
      const { apiKey, authToken, baseUrl } = config.anthropic;
      const endpoint = baseUrl ?? 'the default endpoint';
      return apiKey === undefined && authToken === undefined
        ? `no key for ${endpoint}; only --provider scripted can run (nothing was called)`
        : `a key is set for ${endpoint} (nothing was called)`;
    },
  ],
  [
    'port',
    async ({ config }) => {
      const owner = await portOwner(config.port);
      return owner === undefined
        ? `${config.port} is free`
        : fail(`${config.port} is taken by ${owner}`, 'Use --port 0 for a free one, or another PORT.');
    },
  ],
  [
    'disk',
    async ({ cwd }) => {
      const { bavail, bsize } = await statfs(cwd);
      const free = (bavail * bsize) / 1024 ** 3;
      return free < MIN_FREE_GIB
        ? fail(`${free.toFixed(1)} GiB free`, `Free at least ${MIN_FREE_GIB} GiB.`)
        : `${free.toFixed(1)} GiB free below ${cwd}`;
    },
  ],
  ['cache', ({ config }): Promise<string> => Promise.resolve(config.cache.replace(homedir(), '~'))],
];
