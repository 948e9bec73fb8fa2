import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { expect, onTestFinished, test } from 'vitest';
import { loadRunSources, shippedFolders } from '../../src/producer/definitions-builder.ts';
import { MaestroClient } from '../../src/producer/client.ts';
import { startServer } from '../../src/producer/server.ts';
import { WebhookCreated } from '../../src/producer/webhooks/webhook.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { PACKAGE_ROOT, packagePath } from '../../src/shared/package-root.ts';
import { fixtureRoot } from '../producer/fixture.ts';
import { startNoopFleet } from '../support/noop-fleet.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { cleanEnv } from './maestro.ts';

const WORKFLOW = `apiVersion: maestro/v1
name: small
inputs: { requirement: { type: string, minLength: 10 } }
phases:
  requirements: { persona: requirement_analyst, policy: none }
`;
const token = 'a-token-of-sixteen-or-more';

/** A fleet whose persona has nothing to do, with a server that asks for a token. */
async function stack() {
  const redis = testRedis();
  const packageRoot = await fixtureRoot({ small: WORKFLOW });
  const { ctx, store } = await startNoopFleet(redis, { personas: ['requirement_analyst'] });
  const server = await startServer({
    host: '127.0.0.1',
    port: 0,
    redisUrl: redis.url,
    prefix: redis.prefix,
    blobs: ctx.blobs,
    packageRoot,
    sources: await loadRunSources(shippedFolders(PACKAGE_ROOT)),
    provider: 'scripted',
    token,
    logger: silentLogger(),
    webhooks: { allowPrivate: true, allowHosts: [] },
  });
  onTestFinished(() => server.close());
  const env = cleanEnv({
    MAESTRO_API_URL: server.url,
    MAESTRO_TOKEN: token,
    REDIS_URL: redis.url,
    MAESTRO_PREFIX: redis.prefix,
    MAESTRO_BLOBS: ctx.config.blobs,
    PROVIDER: 'scripted',
  });
  return { env, server, store, packageRoot };
}

function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv, cwd = PACKAGE_ROOT) {
  const child: ChildProcess = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ended = once(child, 'close');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return {
    output: () => output,
    exit: async () => {
      await ended;
      return child.exitCode;
    },
  };
}

/** What is installed elsewhere is what was built. */
async function built(): Promise<void> {
  const setup = start(process.execPath, [packagePath('bin', 'setup.mjs')], cleanEnv());
  expect(await setup.exit()).toBe(0);
}

test('the examples start a run, follow it and tell how it ended', async () => {
  await built();
  const { env, store, packageRoot } = await stack();
  const file = join(packageRoot, 'workflows', 'small.yaml');
  const examples: [string, string[]][] = [
    [process.execPath, ['examples/enqueue-over-http.mjs', 'small']],
    [process.execPath, ['examples/enqueue-over-redis.mjs', file]],
    ['sh', ['examples/run.sh', 'small']],
    ['python3', ['examples/run.py', 'small']],
  ];
  for (const [command, args] of examples) {
    const example = start(command, args, env);
    expect([args[0], await example.exit()]).toEqual([args[0], 0]);
    const runId = /^run ([0-9A-Z]{26})$/m.exec(example.output())?.[1] ?? '';
    expect((await store.getRun(runId)).status).toBe('passed');
    expect(example.output()).toMatch(/simulated/);
  }
});

test('the examples say in one line what is wrong', async () => {
  await built();
  const { env } = await stack();
  for (const [command, file] of [
    [process.execPath, 'examples/enqueue-over-http.mjs'],
    [process.execPath, 'examples/enqueue-over-redis.mjs'],
    ['python3', 'examples/run.py'],
  ] as const) {
    const example = start(command, [file, 'no-such-workflow'], env);
    expect(await example.exit()).toBe(1);
    expect(example.output()).toMatch(/^NOT_FOUND: .*no-such-workflow.*\n$/);
  }
});

test('the receiver of webhooks is told of a run, believes what is signed and nothing else', async () => {
  const { env, server } = await stack();
  const authorization = `Bearer ${token}`;
  // The port is free again when the receiver takes it.
  const probe = start(
    process.execPath,
    [
      '-e',
      "const s=require('net').createServer();s.listen(0,'127.0.0.1',()=>{console.log(s.address().port);s.close()})",
    ],
    env,
  );
  await probe.exit();
  const url = `http://127.0.0.1:${probe.output().trim()}/`;
  const response = await fetch(`${server.url}/api/webhooks`, {
    method: 'POST',
    headers: { authorization },
    body: JSON.stringify({ url, events: ['run.finished'] }),
  });
  const { secret } = WebhookCreated.parse(await response.json());
  const receiver = start(process.execPath, ['examples/webhook-receiver.mjs'], {
    ...env,
    WEBHOOK_SECRET: secret,
    PORT: probe.output().trim(),
  });
  await expect.poll(receiver.output).toMatch(/listening/);
  expect((await fetch(url, { method: 'POST', body: '{}' })).status).toBe(401);
  const client = new MaestroClient({ baseUrl: server.url, token });
  const { runId } = await client.execute('small', { inputs: { requirement: 'shorten my urls please' } });
  await expect.poll(receiver.output).toContain(`run.finished small ${runId} passed [simulated]`);
});

test('what other services import to speak HTTP brings no queue, server or model along', async () => {
  const { metafile } = await build({
    entryPoints: [packagePath('src', 'producer', 'client.ts')],
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    write: false,
    metafile: true,
  });
  const outside = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
  const named = new Set(outside.filter((path) => !path.startsWith('node:')));
  // Three libraries without dependencies of their own: schemas, ids, and safe patterns.
  expect([...named].toSorted()).toEqual(['re2js', 'ulid', 'zod']);
});

test('the package that is published works where it is installed, for JavaScript and for TypeScript', async () => {
  await built();
  const home = await tempFolder();
  const modules = join(home, 'node_modules');
  await mkdir(modules);
  const packed = start('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', home], cleanEnv());
  expect(await packed.exit()).toBe(0);
  const tar = start('tar', ['-xzf', join(home, packed.output().trim()), '-C', modules], cleanEnv());
  expect(await tar.exit()).toBe(0);
  await rename(join(modules, 'package'), join(modules, 'maestro-fleet'));
  // What npm would install beside it.
  for (const name of await readdir(packagePath('node_modules')))
    if (!name.startsWith('.')) await symlink(packagePath('node_modules', name), join(modules, name));
  const program = `import { FleetError, MaestroClient, type RunEvent } from 'maestro-fleet/client';
import { MaestroProducer } from 'maestro-fleet/producer';
const client = new MaestroClient({ baseUrl: 'http://127.0.0.1:1', retries: 0 });
const tell = (event: RunEvent): string => (event.type === 'run.finished' ? event.status : event.type);
try {
  const { runId } = await client.execute('linear', { inputs: { requirement: 'x' } });
  for await (const event of client.events(runId)) console.log(tell(event));
} catch (err) {
  console.log(err instanceof FleetError ? err.code : err);
}
await MaestroProducer.open({ redisUrl: 'redis://127.0.0.1:1', blobs: 'blobs' }).catch((err) => console.log(err.code));
`;
  await writeFile(join(home, 'program.mts'), program);
  const options = [
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2023',
    '--types',
    'node',
    '--skipLibCheck',
    '--outDir',
    home,
  ];
  const tsc = start(
    process.execPath,
    [packagePath('node_modules', 'typescript', 'bin', 'tsc'), ...options, 'program.mts'],
    cleanEnv(),
    home,
  );
  expect([await tsc.exit(), tsc.output()]).toEqual([0, '']);
  const run = start(process.execPath, ['program.mjs'], cleanEnv(), home);
  expect([await run.exit(), run.output()]).toEqual([0, 'API_UNAVAILABLE\nREDIS_UNAVAILABLE\n']);
});
