/**
 * Builds and starts the measured service, and offers it on a unix socket.
 * The caller sits in another sandbox and reaches nothing but this socket, so the service can answer requests
 * and do no more: it cannot touch the process that judges it.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';

const START_MS = 15_000;
const {
  project,
  socket,
  data: sharedData,
} = z
  .object({ project: z.string(), socket: z.string(), data: z.string().optional() })
  .parse(JSON.parse(readFileSync(0, 'utf8')));
const manifest = z
  .object({ scripts: z.record(z.string(), z.string()).default({}) })
  .parse(JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')));

const home = await mkdtemp(join(tmpdir(), 'service-'));
const app = join(home, 'app');
const data = sharedData ?? join(home, 'data');
await mkdir(data, { recursive: true });
// What stands in these two is not measured: what is served has to come from the build that is run here.
const made = ['dist', 'coverage'].map((name) => join(project, name));
await cp(project, app, {
  recursive: true,
  verbatimSymlinks: true,
  filter: (source) => !['node_modules', '.git'].includes(basename(source)) && !made.includes(source),
});
if (existsSync(join(project, 'node_modules'))) await symlink(join(project, 'node_modules'), join(app, 'node_modules'));

const environment = {
  PATH: process.env['PATH'] ?? '/usr/bin:/bin',
  HOME: home,
  CI: 'true',
  npm_config_update_notifier: 'false',
  npm_config_cache: join(home, 'npm'),
};

const end = async (code: number, message: string): Promise<never> => {
  process.stderr.write(`${message}\n`);
  await rm(home, { recursive: true, force: true });
  process.exit(code);
};

if (manifest.scripts['build'] !== undefined) {
  const build = spawnSync('npm', ['run', 'build'], { cwd: app, env: environment, encoding: 'utf8', timeout: 60_000 });
  if (build.status !== 0) await end(3, `npm run build failed: ${build.stdout}${build.stderr}`);
}

const freePort = (): Promise<number> =>
  new Promise((done, fail) => {
    const probe = createServer();
    probe.once('error', fail);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => done(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });

const isListening = (port: number): Promise<boolean> =>
  new Promise((done) => {
    const client = connect(port, '127.0.0.1');
    client.once('connect', () => {
      client.destroy();
      done(true);
    });
    client.once('error', () => done(false));
  });

const port = await freePort();
const service = spawn('npm', ['start'], {
  cwd: app,
  env: { ...environment, PORT: String(port), DATA_DIR: data, NODE_ENV: 'production' },
  stdio: ['ignore', 'pipe', 'pipe'],
});
service.stdout.on('data', (piece: Buffer) => process.stderr.write(piece));
service.stderr.on('data', (piece: Buffer) => process.stderr.write(piece));
service.once('exit', (code, signal) => {
  void end(5, `npm start ended with ${code ?? signal ?? 'no code'}`);
});
process.once('SIGTERM', () => {
  service.kill();
  void end(0, 'stopped');
});

const deadline = Date.now() + START_MS;
while (!(await isListening(port))) {
  if (Date.now() > deadline)
    await end(4, `nothing listened on PORT (${port}) at 127.0.0.1 within ${START_MS / 1000} s of npm start`);
  await sleep(50);
}

const relay = createServer((client) => {
  const upstream = connect(port, '127.0.0.1');
  client.on('error', () => upstream.destroy());
  upstream.on('error', () => client.destroy());
  client.pipe(upstream).pipe(client);
});
relay.listen(socket, () => {
  void chmod(socket, 0o666);
});
