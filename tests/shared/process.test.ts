import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type ProcessOptions, runProcess } from '../../src/shared/process.ts';

const run = (argv: readonly string[], options: Partial<ProcessOptions> = {}) =>
  runProcess({
    argv,
    cwd: '/tmp',
    env: { PATH: '/usr/bin:/bin' },
    timeoutMs: 10_000,
    outputBytes: 10_000,
    ...options,
  });

/** A process that ended but was not yet collected by its parent is not alive. */
const isAlive = (pid: number): boolean =>
  existsSync(`/proc/${pid}/stat`) && !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));

describe('runProcess', () => {
  test('returns a failing exit code as a result', async () => {
    const result = await run(['sh', '-c', 'echo out; echo err >&2; exit 7']);
    expect(result).toMatchObject({ exitCode: 7, endedBy: 'exit', stdout: 'out\n', stderr: 'err\n', truncated: false });
  });

  test('gives arguments to the program without a shell', async () => {
    const result = await run(['echo', '$HOME; `id`', '*']);
    expect(result.stdout).toBe('$HOME; `id` *\n');
  });

  test('passes only the environment it was given', async () => {
    process.env['PROCESS_TEST_SECRET'] = 'hidden';
    const result = await run(['env'], { env: { PATH: '/usr/bin:/bin', SHOWN: 'yes' } });
    expect(result.stdout).toContain('SHOWN=yes');
    expect(result.stdout).not.toContain('PROCESS_TEST_SECRET');
  });

  test('writes the given input, and otherwise closes it', async () => {
    expect((await run(['cat'], { stdin: 'hello' })).stdout).toBe('hello');
    expect(await run(['cat'])).toMatchObject({ exitCode: 0, stdout: '' });
  });

  test('goes on when the program does not read its input', async () => {
    const result = await run(['true'], { stdin: 'x'.repeat(5_000_000) });
    expect(result.exitCode).toBe(0);
  });

  test('names a program that is missing', async () => {
    await expect(run(['no-such-program-here'])).rejects.toMatchObject({
      code: 'TOOL_UNAVAILABLE',
      message: 'no-such-program-here is not installed',
    });
  });

  test('names a folder that is missing', async () => {
    await expect(run(['true'], { cwd: '/no/such/folder' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('refuses arguments that no program could receive', async () => {
    await expect(run(['echo', 'a\0b'])).rejects.toMatchObject({ code: 'BAD_INPUT' });
    await expect(run([])).rejects.toMatchObject({ code: 'BAD_INPUT' });
  });

  test('cuts a flood of output while it streams, and marks the cut', async () => {
    const pieces: string[] = [];
    const result = await run(['sh', '-c', 'yes | head -c 20000000; exit 3'], {
      outputBytes: 1000,
      onOutput: (_stream, text) => pieces.push(text),
    });
    expect(result).toMatchObject({ exitCode: 3, truncated: true });
    expect(result.stdout).toMatch(
      /^(y\n){500}\n\[output cut after 1000 bytes\]\n\[\d+ bytes left out; the end is:\]\n[y\n]{125}$/,
    );
    expect(pieces.join('')).toBe(result.stdout);
  });

  test('keeps characters whole that arrive in two pieces', async () => {
    const result = await run(['sh', '-c', String.raw`printf '\303'; sleep 0.1; printf '\244'`]);
    expect(result.stdout).toBe('ä');
  });

  test('ends the whole group at the time limit, even what ignores SIGTERM', async () => {
    const script = `trap '' TERM; sh -c 'trap "" TERM; echo $$; sleep 60' & wait; sleep 60`;
    const result = await run(['sh', '-c', script], { timeoutMs: 300 });
    expect(result).toMatchObject({ endedBy: 'timeout', exitCode: null });
    expect(result.durationMs).toBeLessThan(30_000);
    expect(isAlive(Number(result.stdout))).toBe(false);
  });

  test('ends the whole group when the program ends', async () => {
    const result = await run(['sh', '-c', 'sleep 60 >/dev/null 2>&1 & echo $!']);
    expect(result).toMatchObject({ endedBy: 'exit', exitCode: 0 });
    await expect.poll(() => isAlive(Number(result.stdout))).toBe(false);
  });

  test('does not wait for a daemon that left the group and holds the output open', async () => {
    const result = await run(['sh', '-c', 'setsid sleep 15 & exit 0']);
    expect(result).toMatchObject({ endedBy: 'exit', exitCode: 0 });
    expect(result.durationMs).toBeLessThan(12_000);
  });

  test('ends when aborted, and does not start when aborted before', async () => {
    const abort = new AbortController();
    const running = run(['sleep', '60'], { signal: abort.signal });
    abort.abort();
    await expect(running).resolves.toMatchObject({ endedBy: 'aborted', exitCode: null });
    const second = await run(['echo', 'started'], { signal: abort.signal });
    expect(second).toMatchObject({ endedBy: 'aborted', stdout: '' });
  });

  test('tells a program ended by a signal from one that exits', async () => {
    const result = await run(['sh', '-c', 'kill -SEGV $$']);
    expect(result).toMatchObject({ endedBy: 'signal', exitCode: null });
  });
});
