import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdtempSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/shared/logger.ts';
import { openSandbox } from '../../src/shared/sandbox/open-sandbox.ts';
import type { Sandbox, SandboxCommand } from '../../src/shared/sandbox/sandbox.ts';
import { readFileInside } from '../../src/shared/workspace-path.ts';

const CACHE = join(homedir(), '.cache', 'maestro-fleet');
/** Durations of sleeps, which tell the processes of this test run from any other's. */
const [BOMB, LATE, LEFT, ORPHAN] = [1, 2, 3, 4].map((digit) => `4${digit}${process.pid}${Date.now() % 10_000}`);
let sandbox: Sandbox;
let scratch: string;
let out: string;

beforeAll(async () => {
  sandbox = await openSandbox({ mode: 'auto', cache: CACHE, logger: silentLogger() });
  scratch = realpathSync(mkdtempSync(join(tmpdir(), 'sandbox-test-')));
  out = join(scratch, 'out');
  mkdirSync(out);
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const run = (argv: readonly string[], options: Partial<SandboxCommand> = {}) =>
  sandbox.run({ argv, mounts: [{ host: out, inside: '/out', writable: true }], cwd: '/out', ...options });
const sh = (script: string, options: Partial<SandboxCommand> = {}) => run(['sh', '-c', script], options);

/** Command lines of living processes that hold a text. */
const processesWith = (text: string): string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && existsSync(`/proc/${name}/cmdline`))
    .map((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    })
    .filter((line) => line.includes(text));

describe('a command in the sandbox', () => {
  test('is told apart in evidence', () => {
    expect(sandbox.kind).toBe('bwrap');
    expect(sandbox.description).toMatch(/^bubblewrap \d+\.\d+\.\d+, no network, user \d+/);
  });

  test('finds node, npm, npx, git and a shell', async () => {
    const result = await sh('node -v && npm -v && npx -v && git --version && ls / >/dev/null && id -un');
    expect(result).toMatchObject({ exitCode: 0, endedBy: 'exit', stderr: '' });
    expect(result.stdout).toContain(process.version);
    expect(result.stdout).toContain('sandbox');
  });

  test('returns its failure, its input and its output as a result', async () => {
    const pieces: string[] = [];
    const result = await sh('cat; echo err >&2; exit 9', {
      stdin: 'given',
      onOutput: (stream, text) => pieces.push(`${stream}:${text}`),
    });
    expect(result).toMatchObject({ exitCode: 9, stdout: 'given', stderr: 'err\n' });
    expect(pieces.toSorted()).toEqual(['stderr:err\n', 'stdout:given']);
  });

  test('is a result too when the program does not exist', async () => {
    expect(await run(['no-such-program'])).toMatchObject({ exitCode: 127 });
  });

  test('reads read-only mounts and writes only writable ones', async () => {
    const source = join(scratch, 'private-source');
    mkdirSync(source, { mode: 0o700 });
    writeFileSync(join(source, 'a.txt'), 'original');
    const mounts = [
      { host: source, inside: '/work', writable: false },
      { host: out, inside: '/work-out/deep', writable: true },
    ];
    const script = 'cat a.txt; echo new > /work-out/deep/made.txt; echo x > a.txt; rm a.txt; touch b.txt';
    const result = await sh(script, { mounts, cwd: '/work' });
    expect(result.stdout).toBe('original');
    expect(readFileSync(join(out, 'made.txt'), 'utf8')).toBe('new\n');
    expect(readdirSync(source)).toEqual(['a.txt']);
    expect(readFileSync(join(source, 'a.txt'), 'utf8')).toBe('original');
  });

  test('sees no shadow file, no home and nothing of the fleet', async () => {
    writeFileSync(join(scratch, 'secret.txt'), 'fleet secret');
    const script = `cat /etc/shadow; ls ${homedir()}; cat ${scratch}/secret.txt; ls /work /var /root /etc/ssh`;
    const result = await sh(script);
    expect(result.stdout).toBe('');
    expect(result.exitCode).not.toBe(0);
  });

  test('inherits nothing of the environment', async () => {
    process.env['SANDBOX_TEST_SECRET'] = 'hidden';
    const result = await run(['env'], { env: { SHOWN: 'yes' } });
    const names = result.stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split('=')[0]);
    expect(new Set(names)).toEqual(new Set(['CI', 'HOME', 'LANG', 'PATH', 'PWD', 'SHOWN']));
    expect((await sh('cat /proc/[0-9]*/environ')).stdout).not.toContain('hidden');
  });

  test('is no root, holds no capability and can gain none', async () => {
    const result = await sh('id -u; grep -E "^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs)" /proc/self/status');
    expect(result.stdout).toMatch(/^[1-9]\d*\n/);
    expect(result.stdout.match(/^Cap\w+:\s+0{16}$/gm)).toHaveLength(5);
    expect(result.stdout).toMatch(/NoNewPrivs:\s+1/);
    expect((await sh('unshare --user true')).exitCode).not.toBe(0);
    expect((await sh('umount /proc; mount -t tmpfs none /tmp')).exitCode).not.toBe(0);
  });

  test('sees only its own processes and cannot end the sandbox around it', async () => {
    const result = await sh('ls /proc | grep -c "^[0-9]"; kill -9 1; echo still here');
    expect(result.stdout).toContain('still here');
    expect(Number(result.stdout.split('\n')[0])).toBeLessThan(8);
  });

  test('reaches neither a port on the host nor the network', async () => {
    let connections = 0;
    const server = createServer((socket) => {
      connections += 1;
      socket.destroy();
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const attempt = (host: string, to: number) =>
      `require('net').connect({host:'${host}',port:${to},timeout:2000}).on('connect',()=>process.exit(0)).on('error',(e)=>{console.log(e.code);process.exit(3)}).on('timeout',()=>process.exit(4))`;
    const own = await run(['node', '-e', attempt('127.0.0.1', port)]);
    const metadata = await run(['node', '-e', attempt('169.254.169.254', 80)]);
    const lookup = await run([
      'node',
      '-e',
      "require('dns').promises.lookup('example.com').then(()=>process.exit(0),()=>process.exit(3))",
    ]);
    server.close();
    expect(own).toMatchObject({ exitCode: 3, stdout: 'ECONNREFUSED\n' });
    expect(metadata).toMatchObject({ exitCode: 3, stdout: 'ENETUNREACH\n' });
    expect(lookup.exitCode).toBe(3);
    expect(connections).toBe(0);
  });

  test('can start a service on localhost and call it', async () => {
    const script = `const s=require('http').createServer((q,r)=>r.end('served')).listen(0,'127.0.0.1',async()=>{
      const r=await fetch('http://localhost:'+s.address().port);console.log(await r.text());s.close()})`;
    expect(await run(['node', '-e', script])).toMatchObject({ exitCode: 0, stdout: 'served\n' });
  });

  test('cannot start more processes than allowed', async () => {
    const script = 'i=0; while [ $i -lt 100 ]; do sleep 5 & i=$((i+1)); echo $i; done';
    const result = await sh(script, { limits: { processes: 20, wallMs: 10_000 } });
    expect(result.exitCode).not.toBe(0);
    expect(result.stdout.trim().split('\n').length).toBeLessThan(20);
  });

  test('survives next to a fork bomb, which ends with it', async () => {
    const bomb = sh(`bomb() { bomb | bomb & }; bomb; sleep ${BOMB}`, { limits: { processes: 64, wallMs: 1500 } });
    const neighbour = await sh('i=0; while [ $i -lt 30 ]; do true & i=$((i+1)); done; wait; echo fine');
    expect(neighbour).toMatchObject({ exitCode: 0, stdout: 'fine\n' });
    expect((await bomb).exitCode).not.toBe(0);
    await expect.poll(() => processesWith(`sleep ${BOMB}`)).toEqual([]);
  });

  test('cannot write a file larger than allowed', async () => {
    const result = await sh('head -c 50000000 /dev/zero > big', { limits: { fileBytes: 1_000_000 } });
    expect(result.exitCode).not.toBe(0);
    expect(statSync(join(out, 'big')).size).toBe(1_000_000);
  });

  test('cannot fill the disk or its own /tmp', async () => {
    const fill = 'i=0; while true; do head -c 8000000 /dev/zero > f$i || exit 5; i=$((i+1)); done';
    const disk = await sh(fill, { limits: { diskBytes: 20_000_000, wallMs: 20_000 } });
    expect(disk.endedBy).toBe('signal');
    expect(disk.stderr).toContain('more than 20000000 bytes or 200000 files were written');
    const memory = await sh(`cd /tmp; ${fill}`, { limits: { diskBytes: 20_000_000, wallMs: 20_000 } });
    expect(memory.exitCode).toBe(5);
    expect((await sh('cd /dev && echo x > file')).exitCode).not.toBe(0);
    for (const name of readdirSync(out)) rmSync(join(out, name), { recursive: true });
  });

  test('has its flood of output cut', async () => {
    const result = await sh('yes | head -c 50000000', { limits: { outputBytes: 1000 } });
    expect(result).toMatchObject({ truncated: true, exitCode: 0 });
    expect(result.stdout.length).toBeLessThan(1300);
  });

  test('cannot use more memory than allowed', async () => {
    const script = 'const all=[]; while (true) all.push(Buffer.alloc(10_000_000, 1));';
    const result = await run(['node', '-e', script], { limits: { memoryBytes: 512 * 1024 ** 2, wallMs: 20_000 } });
    expect(result.endedBy).not.toBe('timeout');
    expect(result.exitCode).not.toBe(0);
  });

  test('cannot get round that with many processes; what they share is counted once', async () => {
    const held = 'my $held = "x" x 150_000_000;';
    const limits = { memoryBytes: 512 * 1024 ** 2, allMemoryBytes: 500 * 1024 ** 2, wallMs: 20_000 };
    const many = await sh(`for i in 1 2 3 4 5 6; do perl -e '${held} sleep 30' & done; wait`, { limits });
    expect(many.endedBy).toBe('signal');
    expect(many.stderr).toContain('[ended: its processes held more than 524288000 bytes of memory together]');
    const forks = `perl -e '${held} for (1..6) { fork || do { sleep 3; exit } } 1 while wait() > 0; print "done"'`;
    expect(await sh(forks, { limits })).toMatchObject({ endedBy: 'exit', stdout: 'done' });
  });

  test('ends at its time limit with everything it started, even in sessions of their own', async () => {
    const script = `trap '' TERM; setsid sleep ${LATE} & (setsid sh -c 'trap "" TERM HUP; sleep ${LATE}' &) ; sleep ${LATE}`;
    const result = await sh(script, { limits: { wallMs: 400 } });
    expect(result).toMatchObject({ endedBy: 'timeout', exitCode: null });
    expect(result.durationMs).toBeLessThan(20_000);
    await expect.poll(() => processesWith(`sleep ${LATE}`)).toEqual([]);
  });

  test('leaves nothing running when it ends by itself or is aborted', async () => {
    await sh(`setsid sleep ${LEFT} >/dev/null 2>&1 & echo left`);
    const abort = new AbortController();
    const running = sh(`sleep ${LEFT}`, { signal: abort.signal });
    setTimeout(() => abort.abort(), 200);
    expect(await running).toMatchObject({ endedBy: 'aborted' });
    await expect.poll(() => processesWith(`sleep ${LEFT}`)).toEqual([]);
  });

  test('dies with the process that started it', async () => {
    const program = join(scratch, 'starter.mjs');
    const source = `import { openSandbox } from './src/shared/sandbox/open-sandbox.ts';
      const logger = { info() {}, debug() {} };
      const sandbox = await openSandbox({ mode: 'bwrap', cache: ${JSON.stringify(CACHE)}, logger });
      await sandbox.run({ argv: ['sh', '-c', 'echo up; sleep ${ORPHAN}'], mounts: [], cwd: '/',
        onOutput: (_stream, text) => process.stdout.write(text) });`;
    const stdin = { contents: source, resolveDir: process.cwd() };
    await build({ stdin, bundle: true, platform: 'node', format: 'esm', outfile: program, logLevel: 'error' });
    const starter = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(starter.stdout, 'data');
    expect(processesWith(`sleep ${ORPHAN}`)).not.toEqual([]);
    starter.kill('SIGKILL');
    await expect.poll(() => processesWith(`sleep ${ORPHAN}`)).toEqual([]);
  });

  test('is told from one that a signal ended', async () => {
    expect(await sh('kill -SEGV $$')).toMatchObject({ endedBy: 'signal' });
  });

  test('leaves files that the fleet can read, change and remove', async () => {
    await sh('umask 077; mkdir -p d && echo text > d/f');
    expect(readFileSync(join(out, 'd', 'f'), 'utf8')).toBe('text\n');
    writeFileSync(join(out, 'd', 'f'), 'changed');
    expect((await sh('cat d/f; echo again > d/f')).stdout).toBe('changed');
    rmSync(join(out, 'd'), { recursive: true });
  });

  test('cannot trick the reader with a link or a pipe', async () => {
    await sh('ln -s /etc/passwd link; mkfifo pipe; mkdir folder; ln -s /etc folder/etc');
    await expect(readFileInside(out, 'link', 1000)).rejects.toMatchObject({ code: 'BAD_INPUT' });
    await expect(readFileInside(out, 'pipe', 1000)).rejects.toMatchObject({ code: 'BAD_INPUT' });
    await expect(readFileInside(out, 'folder/etc/passwd', 1000)).rejects.toMatchObject({ code: 'BAD_INPUT' });
  });

  test('cannot change the owner of files outside through a planted link', async () => {
    writeFileSync(join(scratch, 'fleet-file'), 'x');
    const owner = statSync(join(scratch, 'fleet-file')).uid;
    await sh(`ln -s ${scratch}/fleet-file planted; ln -s ${scratch} planted-folder`);
    await sh('true');
    expect(statSync(join(scratch, 'fleet-file')).uid).toBe(owner);
    expect(statSync(scratch).uid).toBe(owner);
  });
});

describe('a command that cannot be run', () => {
  test('is refused by name', async () => {
    const mounts = [{ host: join(scratch, 'absent'), inside: '/x', writable: false }];
    await expect(run(['true'], { mounts, cwd: '/' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(run([])).rejects.toMatchObject({ code: 'BAD_INPUT' });
    await expect(run(['true'], { cwd: 'relative' })).rejects.toMatchObject({ code: 'BAD_INPUT' });
    await expect(run(['true'], { cwd: '/no/such/folder' })).rejects.toMatchObject({ code: 'SANDBOX_UNAVAILABLE' });
  });
});

test('a command that says what a broken sandbox would say has only failed', async () => {
  for (const words of ['bwrap: x', "setpriv: can't x"]) {
    const failed = await sh(`echo "${words}" >&2; exit 1`);
    expect(failed).toMatchObject({ exitCode: 1, endedBy: 'exit', stderr: `${words}\n` });
    expect(failed).not.toHaveProperty('report');
  }
  // Where it is told that the command was started is closed to the command.
  expect((await sh('for fd in 3 4 5; do echo x >&$fd && echo open; done 2>/dev/null; true')).stdout).toBe('');
});

describe('without mounts', () => {
  test('commands run directly only when asked, and the evidence says so', async () => {
    const direct = await openSandbox({ mode: 'off', cache: CACHE, logger: silentLogger() });
    expect(direct.kind).toBe('off');
    expect(direct.description).toContain('no sandbox (MAESTRO_SANDBOX=off)');
  });

  test('inside paths are translated and privileges and limits still hold', async () => {
    const direct = await openSandbox({ mode: 'off', cache: CACHE, logger: silentLogger() });
    const place = mkdtempSync(join(tmpdir(), 'direct-test-'));
    execFileSync('chmod', ['755', place]);
    mkdirSync(join(place, 'w'));
    const mounts = [{ host: join(place, 'w'), inside: '/work', writable: true }];
    const result = await direct.run({
      argv: [
        'sh',
        '-c',
        'echo text > /work/a; cat /work/a; echo "$AT"; pwd; id -u; grep processes /proc/self/limits; env | grep -c .',
      ],
      mounts,
      cwd: '/work',
      env: { AT: 'x=/work/a:/workshop:/other/work' },
      limits: { processes: 99 },
    });
    const [text, at, pwd, uid, processes, variables] = result.stdout.split('\n');
    expect(text).toBe('text');
    expect(at).toBe(`x=${place}/w/a:/workshop:/other/work`);
    expect(pwd).toBe(join(place, 'w'));
    expect(uid).not.toBe('0');
    expect(processes).toMatch(/^Max processes\s+99\s+99/);
    expect(Number(variables)).toBeLessThan(9);
    expect(direct.pathOf(mounts, '/work/src/a.js')).toBe(join(place, 'w/src/a.js'));
    rmSync(place, { recursive: true });
  });
});
