import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { arch, homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { openSandbox } from '../../src/shared/sandbox/open-sandbox.ts';
import type { Sandbox, SandboxCommand } from '../../src/shared/sandbox/sandbox.ts';
import { testRedis } from '../support/test-redis.ts';

/** What must never be seen inside, wherever the fleet keeps it. */
const CANARY = `canary-${process.pid}-${Date.now().toString(36)}`;
const CACHE = join(homedir(), '.cache', 'maestro-fleet');
const HOME_FILE = join(homedir(), `.maestro-canary-${process.pid}`);
let sandbox: Sandbox;
let scratch = '';
let out = '';
const redis = testRedis();

beforeAll(async () => {
  sandbox = await openSandbox({ mode: 'auto', cache: CACHE, logger: silentLogger() });
  scratch = mkdtempSync(join(tmpdir(), 'hostile-'));
  out = mkdtempSync(join(tmpdir(), 'hostile-out-'));
  process.env['ANTHROPIC_API_KEY'] = CANARY;
  writeFileSync(HOME_FILE, CANARY, { mode: 0o600 });
  writeFileSync(join(scratch, 'key.pem'), CANARY);
  await openBlobStore(join(scratch, 'blobs')).put(Buffer.from(CANARY));
  await (await redis.connect()).set(`${redis.prefix}:canary`, CANARY);
});
afterAll(() => {
  delete process.env['ANTHROPIC_API_KEY'];
  for (const path of [HOME_FILE, scratch, out]) rmSync(path, { recursive: true, force: true });
});

const run = (argv: readonly string[], options: Partial<SandboxCommand> = {}) =>
  sandbox.run({
    argv,
    mounts: [{ host: out, inside: '/work', writable: true }],
    cwd: '/work',
    limits: { wallMs: 30_000 },
    ...options,
  });
const sh = (script: string, options: Partial<SandboxCommand> = {}) => run(['sh', '-c', script], options);

describe('a command that looks for secrets', () => {
  test('finds none: not in environments, files, processes, the blob store or what the kernel shows', async () => {
    const script = `
      cat /proc/*/environ /proc/*/task/*/environ /proc/*/cmdline /proc/*/maps /proc/keys /proc/net/unix 2>/dev/null
      cat ~/.ssh/* /root/.ssh/* /root/.* ${homedir()}/.* ${HOME_FILE} ${scratch}/key.pem /etc/shadow /etc/ssh/* 2>/dev/null
      cat /proc/1/root${scratch}/key.pem /proc/1/cwd/../../*/*.pem /proc/self/fd/* 2>/dev/null </dev/null
      find / -xdev -not -path '/usr/*' -not -path '/proc/*' -type f -size -200k -exec cat {} + 2>/dev/null
      ls -laR ${scratch} ${scratch}/blobs /tmp /run /var /dev/shm 2>/dev/null; cat /proc/mounts /proc/self/mountinfo; env; mount; true`;
    const { stdout, stderr } = await sh(script, { limits: { wallMs: 30_000, outputBytes: 50_000_000 } });
    expect(stdout.length).toBeGreaterThan(1_000);
    expect(`${stdout}${stderr}`).not.toContain(CANARY);
    expect(stdout).not.toMatch(/^root:[^x:]/m);
  });

  test('reaches no Redis, by its socket, its port or its password', async () => {
    const { hostname, port, pathname } = new URL(redis.url);
    const before = await (await redis.connect()).info('stats');
    const script = `
      const net = require('node:net');
      const all = [{ host: '${hostname || '127.0.0.1'}', port: ${port || 6379} }, { host: '127.0.0.1', port: 6379 }, { host: '::1', port: 6379 },
        { host: '0.0.0.0', port: ${port || 6379} }, { path: '${pathname.length > 1 ? pathname : '/run/redis/redis.sock'}' }, { host: '169.254.169.254', port: 80 }, { host: 'fd00:ec2::254', port: 80 }];
      (async () => { for (const to of all) console.log(await new Promise((done) => {
        const s = net.connect({ ...to, timeout: 2000 }).on('error', (e) => done(e.code)).on('timeout', () => done('timeout'));
        s.on('connect', () => { s.write('AUTH x\\r\\nGET ${redis.prefix}:canary\\r\\n'); s.on('data', (d) => done('REACHED ' + d)); }); })); })()`;
    const { stdout } = await run(['node', '-e', script]);
    expect(stdout.trim().split('\n')).toHaveLength(7);
    for (const line of stdout.trim().split('\n'))
      expect(line).toMatch(/^(ECONNREFUSED|ENETUNREACH|ENOENT|EACCES|EPERM)$/);
    expect(/rejected_connections:\d+/.exec(await (await redis.connect()).info('stats'))?.[0]).toBe(
      /rejected_connections:\d+/.exec(before)?.[0],
    );
  });

  test('finds no abstract socket of the machine', async () => {
    const name = `\0maestro-${CANARY}`;
    const server = createServer((socket) => socket.end(CANARY)).listen(name);
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const script = `require('net').connect('\\0maestro-${CANARY}').on('error', (e) => console.log(e.code)).on('data', (d) => console.log('REACHED'))`;
    expect((await run(['node', '-e', script])).stdout).toBe('ECONNREFUSED\n');
  });

  test('finds no file that somebody left open to the fleet', async () => {
    const program = join(scratch, 'leaky.mjs');
    const source = `import { openSandbox } from './src/shared/sandbox/open-sandbox.ts';
      const sandbox = await openSandbox({ mode: 'auto', cache: ${JSON.stringify(CACHE)}, logger: { info() {}, debug() {} } });
      const { stdout } = await sandbox.run({ argv: ['sh', '-c', 'ls /proc/self/fd; cat /proc/self/fd/*; cat <&3; cat <&4; cat <&5; true'], mounts: [], cwd: '/' });
      process.stdout.write('ran ' + stdout);`;
    const stdin = { contents: source, resolveDir: process.cwd() };
    await build({ stdin, bundle: true, platform: 'node', format: 'esm', outfile: program, logLevel: 'error' });
    const secret = (): number => openSync(join(scratch, 'key.pem'), 'r');
    const child = spawn(process.execPath, [program], {
      stdio: ['ignore', 'pipe', 'inherit', secret(), secret(), secret()],
    });
    let said = '';
    child.stdout?.on('data', (chunk) => (said += String(chunk)));
    await once(child, 'close');
    expect(said).toMatch(/^ran /);
    expect(said).not.toContain(CANARY);
  });
});

describe('a command that wants out', () => {
  const ATTEMPTS = {
    'a mount': 'mount -t tmpfs none /mnt || mount --bind / /work',
    'a mount over proc': 'umount /proc || mount -o remount,rw /',
    'a user namespace': 'unshare -U true || unshare -r true || unshare -Urm true',
    'a namespace': 'unshare -m true || unshare -n true || unshare -p -f true',
    'the namespaces of init': 'nsenter -t 1 -m -n true',
    'another root': 'chroot /usr true || chroot . true',
    'the core pattern': `echo '|/work/x' > /proc/sys/kernel/core_pattern`,
    'the kernel by sysrq': 'echo b > /proc/sysrq-trigger',
    'a kernel setting': 'echo 1 > /proc/sys/vm/drop_caches || echo 9 > /proc/sys/kernel/randomize_va_space',
    'more user namespaces': 'echo 1000 > /proc/sys/user/max_user_namespaces',
    'a device': 'mknod disk b 254 0 && head -c 1 disk || mknod mem c 1 1 && head -c 1 mem',
    'the memory of the machine': 'head -c 1 /dev/mem || head -c 1 /proc/kcore || head -c 1 /dev/kmsg',
    'another user': 'su -c true || setpriv --reuid 0 true || chown 0 . || newgrp root',
    'a capability': 'setpriv --inh-caps +sys_admin --ambient-caps +sys_admin true',
    'the system': 'touch /usr/bin/x || touch /etc/x || touch /run/x || touch /x || rm -f /usr/bin/env',
    'the clock': 'date -s 2001-01-01 >/dev/null || hostname evil',
    'its own score': 'echo -1000 > /proc/self/oom_score_adj',
    'its own limits': 'ulimit -Hu 100000 || prlimit --nproc=100000:100000 --pid $$',
    'a module': 'insmod x.ko || modprobe loop',
    cgroups: 'mkdir /sys/fs/cgroup/x || echo $$ > /sys/fs/cgroup/cgroup.procs',
  };
  test.each(Object.entries(ATTEMPTS))('does not get %s', async (_what, script) => {
    const { stdout } = await sh(`{ ${script}; } 2>/dev/null && echo ESCAPED; echo over`);
    expect(stdout).toBe('over\n');
  });

  test('finds the calls closed that no namespace confines', async () => {
    const x64 = arch() === 'x64';
    expect(['x64', 'arm64']).toContain(arch());
    const calls = {
      keyctl: x64 ? 250 : 219,
      add_key: x64 ? 248 : 217,
      bpf: x64 ? 321 : 280,
      perf_event_open: x64 ? 298 : 241,
      userfaultfd: x64 ? 323 : 282,
      open_by_handle_at: x64 ? 304 : 265,
      mount: x64 ? 165 : 40,
      setns: x64 ? 308 : 268,
    };
    const socket = x64 ? 41 : 198;
    const ioctl = x64 ? 16 : 29;
    const lines = [
      ...Object.entries(calls).map(
        ([name, number]) => `syscall(${number}, 0, 0, 0, 0, 0); print "${name} ", $!+0, "\\n";`,
      ),
      'syscall(425, 1, 0); print "io_uring ", $!+0, "\\n";',
      ...[40, 17, 38, 44, 31].map(
        (family) => `syscall(${socket}, ${family}, 1, 0); print "socket ${family} ", $!+0, "\\n";`,
      ),
      `my $b = "x"; syscall(${ioctl}, 0, 0x5412, $b); print "TIOCSTI ", $!+0, "\\n";`,
      ...(x64 ? ['syscall(0x40000000 + 39); print "x32 ", $!+0, "\\n";'] : []),
    ];
    const { stdout, stderr } = await run(['perl', '-e', lines.join('\n')]);
    const [EPERM, ENOSYS, EAFNOSUPPORT] = [1, 38, 97];
    const got = new Map(
      stdout
        .trim()
        .split('\n')
        .map((line) => [line.replace(/ \d+$/, ''), Number(line.split(' ').at(-1))]),
    );
    expect(stderr).toBe('');
    for (const name of [...Object.keys(calls), 'TIOCSTI']) expect([name, got.get(name)]).toEqual([name, EPERM]);
    expect(got.get('io_uring')).toBe(ENOSYS);
    expect(x64 ? got.get('x32') : ENOSYS).toBe(ENOSYS);
    for (const family of [40, 17, 38, 44, 31]) expect(got.get(`socket ${family}`)).toBe(EAFNOSUPPORT);
  });

  test('harms no process outside, whoever owns it', async () => {
    const sleep = ['sleep', '30'];
    const asUser =
      process.getuid?.() === 0 ? ['setpriv', '--reuid', '64999', '--regid', '64999', '--clear-groups'] : [];
    const [program = 'sleep', ...args] = [...asUser, ...sleep];
    const outside: ChildProcess = spawn(program, args, { stdio: 'ignore' });
    await once(outside, 'spawn');
    onTestFinished(() => void outside.kill('SIGKILL'));
    await sh(`kill -9 ${outside.pid}; kill -9 -1; for p in /proc/[0-9]*; do kill -9 \${p#/proc/}; done`);
    await sh(`node -e "for (let p = 1; p < 70000; p++) { try { process.kill(p, 9) } catch {} }"`);
    expect(outside.exitCode).toBeNull();
    expect(outside.signalCode).toBeNull();
  });

  test('leaves no program behind that would run with more rights', async () => {
    await sh('cp /bin/sh own-sh; chmod 6777 own-sh; cp /bin/true t; chmod u+s,g+s t; ls -l');
    const { uid, mode } = statSync(join(out, 'own-sh'));
    expect(uid === 0 && (mode & 0o6000) !== 0).toBe(false);
    // What it made before has no rights of its own inside either.
    expect((await sh('./own-sh -p -c "id -u"')).stdout.trim()).not.toBe('0');
  });
});

describe('a command that takes too much', () => {
  test('of the processor is ended', async () => {
    const spin = await sh('while :; do :; done', { limits: { cpuSeconds: 1, wallMs: 20_000 } });
    expect(spin.endedBy).toBe('signal');
    expect(spin.durationMs).toBeLessThan(15_000);
  });

  test('of the files of a disk is ended, before its bytes count', async () => {
    const script = `const fs = require('fs'); for (let n = 0; ; n++) { if (n % 500 === 0) fs.mkdirSync('d' + n); fs.closeSync(fs.openSync('d' + (n - (n % 500)) + '/' + n, 'w')); }`;
    const { endedBy, stderr } = await run(['node', '-e', script], { limits: { files: 3_000, wallMs: 20_000 } });
    expect(endedBy).toBe('signal');
    expect(stderr).toContain('or 3000 files were written');
    await sh('rm -rf d*');
  });

  test('of the memory is the first to go, with all it started', async () => {
    expect((await sh('cat /proc/self/oom_score_adj; sh -c "cat /proc/self/oom_score_adj"')).stdout).toBe(
      '1000\n1000\n',
    );
    const held = await sh(
      'head -c 3000000000 /dev/zero > /tmp/fill; head -c 3000000000 /dev/zero > /dev/shm/fill; du -m /tmp /dev/shm',
      {
        limits: { fileBytes: 4 * 1024 ** 3, diskBytes: 64 * 1024 ** 2, wallMs: 30_000 },
      },
    );
    const megabytes = held.stdout
      .trim()
      .split('\n')
      .map((line) => Number(line.split('\t')[0]));
    expect(Math.max(...megabytes)).toBeLessThan(300);
  });

  test('of words is cut, and its last words are kept', async () => {
    const flood = await sh('yes flood | head -c 30000000; echo; echo the end', { limits: { outputBytes: 10_000 } });
    expect(flood.truncated).toBe(true);
    expect(flood.stdout.length).toBeLessThan(12_000);
    expect(flood.stdout).toMatch(/^flood\n[\s\S]*\[output cut after 10000 bytes\][\s\S]*the end\n$/);
  });

  test('of time, hiding in the background, is gone with its parent', async () => {
    const mark = `7${process.pid}${Date.now() % 10_000}`;
    await sh(`(setsid nohup sleep ${mark} >/dev/null 2>&1 &) ; (trap '' HUP TERM; sleep ${mark}) & echo started`);
    await expect.poll(() => commandLines().filter((line) => line.includes(mark))).toEqual([]);
  });
});

/** Command lines of every process of the machine. */
function commandLines(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, 'utf8');
      } catch {
        return '';
      }
    });
}

test('what protects the secrets of this test is the sandbox: they are there outside', () => {
  expect(readFileSync(HOME_FILE, 'utf8')).toBe(CANARY);
  expect(process.env['ANTHROPIC_API_KEY']).toBe(CANARY);
});
