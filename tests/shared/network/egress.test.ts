import { once } from 'node:events';
import { type RequestListener, createServer } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';
import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { readConfig } from '../../../src/shared/config.ts';
import { SOCKET_NAME, openEgressProxy } from '../../../src/shared/network/egress-proxy.ts';
import { silentLogger } from '../../../src/shared/logger.ts';
import { openSandbox } from '../../../src/shared/sandbox/open-sandbox.ts';
import type { Sandbox, SandboxCommand } from '../../../src/shared/sandbox/sandbox.ts';

let sandbox: Sandbox;
beforeAll(async () => {
  const { cache } = readConfig({ XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] }, process.cwd());
  sandbox = await openSandbox({ mode: 'bwrap', cache, logger: silentLogger() });
});

async function serving(handler: RequestListener): Promise<number> {
  const server = createServer(handler).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Runs inside; speaks HTTP to the proxy that the environment names, as any program would. */
const ask = `
const http = require('node:http'), proxy = new URL(process.env.HTTP_PROXY);
const get = (url, headers = {}, method = 'GET') => new Promise((done) => http.request({ host: proxy.hostname, port: proxy.port, path: url, method, headers },
  (r) => { let t = ''; r.on('data', (d) => (t += d)).on('end', () => done(r.statusCode + ' ' + t.trim())).on('error', (e) => done('broken ' + e.code)); }).on('error', (e) => done('broken ' + e.code)).end());
const tunnel = (target) => new Promise((done) => http.request({ host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: target })
  .on('connect', (r, socket, head) => { if (r.statusCode !== 200) { let t = head.toString(); socket.on('data', (d) => (t += d)).on('close', () => done(r.statusCode + ' ' + t.trim())); return; }
    let t = ''; socket.on('data', (d) => (t += d)).on('close', () => done(r.statusCode + ' ' + t.trim().split('\\n').at(-1))); socket.write('GET /through HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n'); })
  .on('error', (e) => done('broken ' + e.code)).end());
`;
const node = (script: string, options: Partial<SandboxCommand>) =>
  sandbox.run({
    argv: ['node', '-e', `${ask}\n(async () => {${script}})()`],
    mounts: [],
    cwd: '/',
    limits: { wallMs: 20_000 },
    ...options,
  });
const reach = (...hosts: string[]) => ({ hosts, operator: hosts });

test('a command reaches the listed host and port through the proxy, by GET and by CONNECT', async () => {
  const seen: string[] = [];
  const port = await serving((req, res) => {
    seen.push(`${req.url} host=${req.headers.host} auth=${String(req.headers['proxy-authorization'])}`);
    res.end(`served ${req.url}`);
  });
  const place = `127.0.0.1:${port}`;
  const result = await node(
    `console.log(await get('http://${place}/plain?q=1', { host: 'other.example', 'proxy-authorization': 'Basic eA==' })); console.log(await tunnel('${place}'));`,
    { egress: reach(place) },
  );
  expect(result).toMatchObject({ exitCode: 0, stdout: '200 served /plain?q=1\n200 served /through\n', refusals: [] });
  expect(seen).toEqual([`/plain?q=1 host=${place} auth=undefined`, '/through host=x auth=undefined']);
});

test('everything else is refused, told to the command and recorded', async () => {
  let reached = 0;
  const port = await serving((_req, res) => {
    reached += 1;
    res.end('secret');
  });
  const other = await serving((_req, res) => res.end('listed'));
  const tried = [
    `127.0.0.1:${port}`,
    `localhost:${port}`,
    `[::ffff:127.0.0.1]:${port}`,
    `2130706433:${port}`,
    '169.254.169.254:80',
    '[fd00:ec2::254]:80',
    'metadata.google.internal:80',
    'nonsense',
  ];
  const script = [
    ...tried.map((at) => `console.log(await tunnel('${at}'));`),
    `console.log(await get('http://127.0.0.1:${port}/'));`,
    `console.log(await get('http://127.0.0.1:${other}@127.0.0.1:${port}/'));`,
    `console.log(await get('https://127.0.0.1:${other}/'));`,
    `console.log(await get('http://127.0.0.1:${other}/', {}, 'POST'));`,
    `console.log(await get('/etc/passwd'));`,
  ].join('\n');
  const { stdout, refusals } = await node(script, { egress: reach(`127.0.0.1:${other}`) });
  const lines = stdout.trim().split('\n');
  expect(lines).toHaveLength(tried.length + 5);
  for (const line of lines) expect(line).toMatch(/^403 refused: /);
  expect(reached).toBe(0);
  expect(refusals).toContain('169.254.169.254:80 is not among the hosts that are allowed');
  expect(refusals).toContain('POST in plain HTTP is not allowed');
});

test('a listed name that leads inside is not reached', async () => {
  const port = await serving((_req, res) => res.end('secret'));
  const place = `localhost:${port}`;
  const { stdout, refusals } = await node(`console.log(await tunnel('${place}'))`, { egress: reach(place) });
  expect(stdout).toMatch(/^403 refused: localhost:\d+ leads to .*no public address/);
  expect(refusals).toHaveLength(1);
});

test('without the proxy there is still no network, and the proxy cannot be replaced', async () => {
  const port = await serving((_req, res) => res.end('secret'));
  const place = `127.0.0.1:${port}`;
  const script = `
    const net = require('node:net'), fs = require('node:fs');
    console.log(await new Promise((done) => net.connect(${port}, '127.0.0.1').on('connect', () => done('open')).on('error', (e) => done(e.code))));
    for (const act of [() => fs.unlinkSync('/run/sandbox/network/proxy.sock'), () => fs.writeFileSync('/run/sandbox/network/x', ''), () => fs.renameSync('/run/sandbox/network', '/run/x')])
      try { act(); console.log('done'); } catch (e) { console.log(e.code); }`;
  const { stdout } = await node(script, { egress: reach(place) });
  expect(stdout.split('\n').slice(0, 4)).toEqual(['ECONNREFUSED', 'EROFS', 'EROFS', expect.stringMatching(/^E/)]);
});

test('bytes and connections are bounded', async () => {
  const port = await serving((_req, res) => {
    const chunk = Buffer.alloc(1024 ** 2);
    const more = (): void => {
      while (res.write(chunk));
      res.once('drain', more);
    };
    more();
  });
  const place = `127.0.0.1:${port}`;
  const proxy = await openEgressProxy(reach(place), { limits: { bytes: 5_000_000, connections: 3 } });
  onTestFinished(() => proxy.close());
  const open = () => connect(`${proxy.folder}/${SOCKET_NAME}`);
  const flood = open();
  let received = 0;
  flood.on('data', (data) => (received += data.length)).on('error', () => flood.destroy());
  flood.write(`GET http://${place}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
  await once(flood, 'close');
  expect(received).toBeGreaterThan(4_000_000);
  expect(proxy.refusals()).toEqual(['more than 5000000 bytes went through']);
  const sockets = Array.from({ length: 5 }, open);
  await expect.poll(() => sockets.filter((socket) => socket.closed).length).toBeGreaterThanOrEqual(2);
  expect(proxy.refusals().at(-1)).toContain('more than 3 connections at once');
  for (const socket of sockets) socket.destroy();
});

test('the exit code, the signal and the output of the command come through the bridge; nothing is left behind', async () => {
  const left = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('maestro-egress-'));
  const before = left();
  const egress = reach('registry.example.org:443');
  const sh = (script: string) => sandbox.run({ argv: ['sh', '-c', script], mounts: [], cwd: '/', egress, stdin: 'in' });
  expect(await sh('cat; echo err >&2; exit 7')).toMatchObject({ exitCode: 7, stdout: 'in', stderr: 'err\n' });
  expect(await sh('kill -TERM $$')).toMatchObject({ endedBy: 'signal' });
  expect(await sandbox.run({ argv: ['no-such-program'], mounts: [], cwd: '/', egress })).toMatchObject({
    exitCode: 127,
  });
  expect(left()).toEqual(before);
  expect(existsSync('/run/sandbox/network')).toBe(false);
});

test('real clients of the field find the proxy: git and npm', async () => {
  const seen: string[] = [];
  const upstream = createTcpServer((socket) => {
    seen.push('connected');
    socket.end();
  }).listen(0, '127.0.0.2');
  await once(upstream, 'listening');
  onTestFinished(() => void upstream.close());
  const address = upstream.address();
  // What is on 127.0.0.1 is the sandbox's own, and asked without the proxy.
  const place = `127.0.0.2:${typeof address === 'object' && address !== null ? address.port : 0}`;
  const script = `git ls-remote https://${place}/x.git; npm view x --registry https://${place}/ --fetch-retries 0 --cache /tmp/npm; git ls-remote https://example.org/x.git`;
  const { refusals } = await sandbox.run({
    argv: ['sh', '-c', script],
    mounts: [],
    cwd: '/tmp',
    egress: reach(place),
    limits: { wallMs: 30_000 },
  });
  expect(seen.length).toBeGreaterThanOrEqual(2);
  expect(refusals).toEqual(['example.org:443 is not among the hosts that are allowed']);
}, 40_000);
