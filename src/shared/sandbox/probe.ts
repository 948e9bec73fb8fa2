import { homedir } from 'node:os';
import { type Server, createServer } from 'node:net';
import { z } from 'zod';
import { FleetError } from '../errors.ts';
import type { Sandbox, SandboxLimits } from './sandbox.ts';

const Report = z.object({
  uid: z.number(),
  capabilities: z.string(),
  /** 2 when system calls are filtered. */
  seccomp: z.string().nullable(),
  reachedHost: z.boolean(),
  loopback: z.boolean(),
  visible: z.array(z.string()),
  written: z.array(z.string()),
});

/** Runs inside. What it must not manage is tried for real, and told as JSON. */
const INSIDE = `
const fs = require('node:fs'), net = require('node:net');
const [hostPort, ...secrets] = process.argv.slice(1);
const connect = (port) => new Promise((resolve) => {
  const socket = net.connect({ host: '127.0.0.1', port, timeout: 1000 });
  const done = (value) => { socket.destroy(); resolve(value); };
  socket.once('connect', () => done(true)).once('error', () => done(false)).once('timeout', () => done(false));
});
const attempt = (action) => { try { action(); return true; } catch { return false; } };
const own = net.createServer().listen(0, '127.0.0.1', async () => {
  process.stdout.write(JSON.stringify({
    uid: process.getuid(),
    capabilities: /^CapEff:\\s*(\\S+)/m.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1],
    seccomp: (/^Seccomp:\\s*(\\d)/m.exec(fs.readFileSync('/proc/self/status', 'utf8')) ?? [])[1] ?? null,
    reachedHost: await connect(Number(hostPort)),
    loopback: await connect(own.address().port),
    visible: secrets.filter((path) => attempt(() => fs.statSync(path).isDirectory() ? fs.readdirSync(path) : fs.readFileSync(path))),
    written: ['/maestro-probe', '/usr/maestro-probe', '/etc/maestro-probe'].filter((path) => attempt(() => fs.writeFileSync(path, ''))),
  }));
  own.close();
});
`;

const PROBE_LIMITS: Partial<SandboxLimits> = { wallMs: 20_000, processes: 40, outputBytes: 20_000 };

/** Tries to break out of a sandbox in every way it promises to prevent. Throws `SANDBOX_UNAVAILABLE` with what failed. */
export async function probeSandbox(sandbox: Sandbox, { isFiltered }: { isFiltered: boolean }): Promise<void> {
  const host = await listen();
  try {
    // One after the other, because commands may share their process limit.
    const isolation = await sandbox.run({
      argv: ['node', '-e', INSIDE, '--', String(portOf(host)), '/etc/shadow', homedir()],
      mounts: [],
      cwd: '/',
      limits: PROBE_LIMITS,
    });
    const fork = await sandbox.run({
      argv: ['sh', '-c', 'i=0; while [ $i -lt 60 ]; do sleep 2 & i=$((i+1)); done 2>/dev/null; echo unbounded'],
      mounts: [],
      cwd: '/',
      limits: PROBE_LIMITS,
    });
    if (isolation.exitCode !== 0) throw failed(sandbox, `a command in it fails: ${isolation.stderr.trim()}`);
    const report = Report.parse(JSON.parse(isolation.stdout));
    const holes = [
      report.uid === 0 ? 'commands run as root' : '',
      /[^0]/.test(report.capabilities) ? 'commands hold capabilities' : '',
      isFiltered && report.seccomp !== '2' ? 'system calls are not filtered' : '',
      report.reachedHost ? "the host's network is reachable" : '',
      report.loopback ? '' : 'it has no loopback of its own',
      report.visible.length > 0 ? `${report.visible.join(' and ')} can be read` : '',
      report.written.length > 0 ? `${report.written.join(' and ')} can be written` : '',
      fork.stdout.includes('unbounded') ? 'the process limit does not hold' : '',
    ].filter((hole) => hole !== '');
    if (holes.length > 0) throw failed(sandbox, holes.join('; '));
  } finally {
    host.close();
  }
}

const failed = (sandbox: Sandbox, why: string): FleetError =>
  new FleetError('SANDBOX_UNAVAILABLE', `${sandbox.description}: ${why}`);

const listen = (): Promise<Server> =>
  new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server));
  });

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
