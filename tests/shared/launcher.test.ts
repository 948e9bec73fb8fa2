import { open } from 'node:fs/promises';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { afterAll, expect, test } from 'vitest';
import { FleetError, errorMessage } from '../../src/shared/errors.ts';
import { Launcher } from '../../src/shared/launcher.ts';
import { type ProcessOptions, runHere } from '../../src/shared/process.ts';
import { tempFolder } from '../support/temp-folder.ts';

const launcher = new Launcher();
afterAll(() => launcher.close());

const shell = (
  script: string,
  extra: Partial<ProcessOptions> = {},
): ProcessOptions & { stdin?: string | Uint8Array | undefined } => ({
  argv: ['/bin/sh', '-c', script],
  cwd: '/tmp',
  env: { PATH: '/usr/bin:/bin', ONLY: 'this' },
  timeoutMs: 20_000,
  outputBytes: 100_000,
  ...extra,
  stdin: typeof extra.stdin === 'string' || extra.stdin instanceof Uint8Array ? extra.stdin : undefined,
});
const isThere = (pid: string): boolean => existsSync(`/proc/${pid.trim()}`);

test.each([
  ['that ends well', shell('echo out; echo err >&2; printf %s "$ONLY"')],
  ['that fails', shell('exit 7')],
  ['that a signal ends', shell('kill -9 $$')],
  ['that takes too long', shell('sleep 30', { timeoutMs: 200 })],
  ['that reads its input, whatever bytes it has', shell('od -An -tx1', { stdin: Buffer.from([0, 255, 10]) })],
  ['that reports', shell('echo told >&3', { hasReport: true })],
  ['that says more than is kept', shell('yes | head -c 50000; echo end', { outputBytes: 1_000 })],
])('a program %s comes to the same as one started here', async (_name, options) => {
  const [there, here] = await Promise.all([launcher.run(options), runHere(options)]);
  expect({ ...there, durationMs: 0 }).toEqual({ ...here, durationMs: 0 });
});

test('a program that holds more memory than it may, with what it started, is ended', async () => {
  const greedy = shell(`perl -e '$held = "x" x 100_000_000; sleep 30' & wait`, { memoryBytes: 50_000_000 });
  expect(await launcher.run(greedy)).toMatchObject({ endedBy: 'memory', exitCode: null });
});

test('a program that cannot be started is refused in the same words', async () => {
  const options = { ...shell(''), argv: ['no-such-program'] };
  const [here, there] = await Promise.all(
    [runHere(options), launcher.run(options)].map((running) =>
      running.then(
        () => undefined,
        (err: unknown) => err,
      ),
    ),
  );
  expect(there).toBeInstanceOf(FleetError);
  expect(there).toMatchObject({ code: 'TOOL_UNAVAILABLE', message: errorMessage(here) });
});

test('output is told as it comes, and an abort ends all that the program started', async () => {
  const aborting = new AbortController();
  const said: string[] = [];
  const options = shell('sleep 60 & echo $!; wait', {
    signal: aborting.signal,
    onOutput: (_stream, text) => {
      said.push(text);
      aborting.abort();
    },
  });
  expect(await launcher.run(options)).toMatchObject({ endedBy: 'aborted', exitCode: null });
  await expect.poll(() => isThere(said.join('')), { timeout: 5_000 }).toBe(false);
});

test('open files are handed on as the descriptors from 3', async () => {
  const path = join(await tempFolder(), 'filter');
  await writeFile(path, 'what the filter says');
  const file = await open(path);
  try {
    expect((await launcher.run(shell('cat <&3', { files: [file.fd], isHostile: true }))).stdout).toBe(
      'what the filter says',
    );
  } finally {
    await file.close();
  }
});

test('it has nothing of the environment, and programs find none of its files open', async () => {
  await launcher.run(shell('true'));
  expect(readFileSync(`/proc/${launcher.pid}/environ`, 'utf8')).not.toMatch(/PATH|HOME|MAESTRO|ANTHROPIC/);
  const { stdout } = await launcher.run(shell('ls -l /proc/self/fd', { isHostile: true }));
  const found = [...stdout.matchAll(/ (\d+) -> (\S+)/g)].filter(
    ([, number, to]) => Number(number) > 2 && to !== '/dev/null',
  );
  // The one left is the folder that `ls` reads.
  expect(found.map(([, , to]) => to)).toEqual([expect.stringMatching(/^\/proc\/\d+\/fd$/)]);
});

test('what is printed is told while it runs: at once, seldom, in small pieces, and past the cut of what is kept', async () => {
  const file = join(await tempFolder(), 'go');
  const told: { text: string; at: number }[] = [];
  let bytes = 0;
  const script = `printf one; until [ -e ${file} ]; do sleep 0.05; done; yes | head -c 3000000; printf 'é end'; until [ -e ${file}2 ]; do sleep 0.05; done`;
  const ended = await launcher.run(
    shell(script, {
      outputBytes: 1_000,
      onProgress: (progress) => {
        bytes = progress.bytes;
        const text = progress.pieces.map((piece) => piece.text).join('');
        told.push({ text, at: performance.now() });
        // It waits for what was told.
        if (text === 'one') writeFileSync(file, '');
        if (text.endsWith('é end')) writeFileSync(`${file}2`, '');
      },
    }),
  );
  expect(bytes).toBe(3 + 3_000_000 + 6);
  expect(told[0]?.text).toBe('one');
  for (const { text } of told) expect(Buffer.byteLength(text)).toBeLessThanOrEqual(8_192);
  expect(told.length).toBeLessThanOrEqual(2 + ((told.at(-1)?.at ?? 0) - (told[0]?.at ?? 0)) / 490);
  // What is kept is what was always kept.
  expect(ended.stdout).toMatch(
    /^one[y\n]+\n\[output cut after 1000 bytes\]\n\[\d+ bytes left out; the end is:\]\n[y\n]+é end$/,
  );
});

test('when it dies, what it ran is lost with a reason to try again, and the next program is started by another', async () => {
  const said: string[] = [];
  const first = launcher.pid ?? 0;
  const lost = launcher.run(
    shell('echo under way; sleep 60', {
      onOutput: (_stream, text) => {
        said.push(text);
        process.kill(first, 'SIGKILL');
      },
    }),
  );
  await expect(lost).rejects.toMatchObject({ code: 'INTERNAL', retry: true });
  await expect(lost).rejects.toThrow('SIGKILL');
  expect((await launcher.run(shell('echo on'))).stdout).toBe('on\n');
  expect(launcher.pid).not.toBe(first);
});

test('whatever it runs ends with the process that asked for it', async () => {
  const other = new Launcher();
  const said: string[] = [];
  const lost = other.run(
    shell('echo $$; sleep 60', {
      onOutput: (_stream, text) => {
        said.push(text);
        other.close();
      },
    }),
  );
  await expect(lost).rejects.toThrow('was told to end');
  await expect.poll(() => isThere(said.join('')), { timeout: 5_000 }).toBe(false);
});
