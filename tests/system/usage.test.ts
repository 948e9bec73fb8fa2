import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { type Ended, cleanEnv, place, run, start } from './maestro.ts';

const redis = testRedis();
const UNKNOWN_RUN = '01M84FY4S1VC88BJ5H9YZEP0XW';

async function alone(args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const home = await tempFolder();
  return run(args, cleanEnv({ MAESTRO_HOME: home, ...more }), home);
}

const lines = (text: string): string[] => text.trimEnd().split('\n');

test.each([
  [['frobnicate'], 2, "unknown command 'frobnicate'"],
  [['runs', '--nope'], 2, "unknown option '--nope'"],
  [['run'], 2, "missing required argument 'WORKFLOW'"],
  [['status', 'nope'], 2, '"nope" is not a run id'],
  [['runs', '--limit', '0'], 2, 'whole number from 1 to 1000'],
  [['runs', '--status', 'green'], 2, '"green" is not the status of a run'],
  [['gates', '.'], 2, "'--phase <P>' not specified"],
  [['worker', '--personas', 'backend_developr'], 2, 'did you mean "backend_developer"?'],
  [['plan', 'url-shortner'], 2, 'did you mean "url-shortener"?'],
  [['runs'], 4, 'Run `maestro up`, which starts a private one, or set REDIS_URL.'],
])('maestro %j ends with %i and one readable line', async (args, exit, words) => {
  const ended = await alone(args);
  expect(ended).toMatchObject({ exit, stdout: '' });
  expect(ended.stderr).toContain(words);
  expect(lines(ended.stderr)).toHaveLength(1);
});

test('a Redis that does not answer is named, and --debug alone shows the stack', async () => {
  const env = { REDIS_URL: 'redis://:secret@127.0.0.1:1' };
  const [plain, debug] = await Promise.all([alone(['runs'], env), alone(['runs', '--debug'], env)]);
  expect(plain.exit).toBe(4);
  expect(lines(plain.stderr)).toHaveLength(1);
  expect(plain.stderr).toContain('Redis does not answer at redis://***@127.0.0.1:1');
  expect(plain.stderr).not.toContain('secret');
  expect(debug.stderr).toMatch(/\n\s+at .*connectRedis/);
});

test('a run that nobody knows is named by every command that looks at one', async () => {
  const { env, home } = await place(redis);
  const commands = ['status', 'events', 'logs', 'report', 'artifacts', 'cancel'];
  const ended = await Promise.all(commands.map((command) => run([command, UNKNOWN_RUN], env, home)));
  for (const one of ended) {
    expect(one).toMatchObject({ exit: 2, stdout: '' });
    expect(lines(one.stderr)).toEqual([expect.stringContaining(`there is no run ${UNKNOWN_RUN}`)]);
  }
});

test('an unknown sabotage lists those there are', async () => {
  const ended = await alone(['demo', '--sabotage', 'nonsense']);
  expect(ended).toMatchObject({ exit: 2, stdout: '' });
  expect(ended.stderr).toContain('"nonsense"');
  expect(ended.stderr).toContain('documentation_complete');
  expect(ended.stderr).toContain('security_clean');
});

test('a paid demo without a key, or without prices for its budget, starts nothing', async () => {
  const { env, home } = await place(redis);
  const without = await run(['demo', '--provider', 'anthropic'], env, home);
  expect(without).toMatchObject({ exit: 4, stdout: '' });
  expect(lines(without.stderr)).toEqual([expect.stringContaining('Set ANTHROPIC_API_KEY')]);
  // Nobody listens there: a call would fail, and be named.
  const paid = { ...env, ANTHROPIC_API_KEY: 'not-a-key', ANTHROPIC_BASE_URL: 'http://127.0.0.1:1' };
  const unpriced = await run(['demo', '--provider', 'anthropic'], paid, home);
  expect(unpriced).toMatchObject({ exit: 2, stdout: '' });
  expect(lines(unpriced.stderr)).toEqual([
    expect.stringMatching(/the budget of \$\d+ cannot be kept: .* no price for/),
  ]);
  expect(JSON.parse((await run(['runs', '--json'], env, home)).stdout)).toEqual({ runs: [], unreadable: [] });
});

test('a second server on a busy port ends at once with 4 and names port and owner; --port 0 takes a free one', async () => {
  const { env, home } = await place(redis);
  const first = start(['serve', '--port', '0'], env, home);
  const port = (await first.says(/serving http:\/\/127\.0\.0\.1:(\d+)\//))[1] ?? '';
  expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
  const second = await run(['serve', '--port', port], env, home);
  expect(second).toMatchObject({ exit: 4, stdout: '' });
  expect(second.stderr).toContain(`port ${port}`);
  expect(second.stderr).toContain(`pid ${first.pid}`);
  first.child.kill('SIGTERM');
  expect((await first.ended).exit).toBe(0);
});

test('validate names every problem of every file with its place', async () => {
  const folder = await tempFolder();
  const cycle = `apiVersion: maestro/v1
name: cycle
phases:
  design: { needs: [testing], persona: solution_architect }
  testing: { needs: [design], persona: qa_engineer }
`;
  const typos = `apiVersion: maestro/v1
name: typos
phases:
  design: { persona: solution_architekt }
  testing: { needs: [desing], persona: qa_engineer }
`;
  await Promise.all([writeFile(join(folder, 'cycle.yaml'), cycle), writeFile(join(folder, 'typos.yaml'), typos)]);
  const ended = await run(['validate', 'cycle.yaml', 'url-shortener', 'typos.yaml'], cleanEnv(), folder);
  expect(ended.exit).toBe(2);
  expect(ended.stdout).toMatch(/url-shortener\.yaml: valid, 6 phases/);
  expect(ended.stderr).toMatch(/cycle\.yaml:\d+:\d+: .*design.*testing/);
  expect(ended.stderr).toMatch(/typos\.yaml:4:\d+: .*solution_architekt.*solution_architect/);
  expect(ended.stderr).toMatch(/typos\.yaml:5:\d+: .*desing.*design/);
  const json = await run(['validate', 'cycle.yaml', 'typos.yaml', '--json'], cleanEnv(), folder);
  expect(json.exit).toBe(2);
  const Problems = z.strictObject({
    valid: z.array(z.string()),
    problems: z.array(z.looseObject({ file: z.string() })),
  });
  const { valid, problems } = Problems.parse(JSON.parse(json.stdout));
  expect(valid).toEqual([]);
  expect(problems).toContainEqual(expect.objectContaining({ file: 'cycle.yaml' }));
  expect(problems).toContainEqual(expect.objectContaining({ file: 'typos.yaml', line: 4 }));
  expect(problems).toContainEqual(expect.objectContaining({ file: 'typos.yaml', line: 5, column: 22 }));
});

test('plan draws the shipped workflow, and tells it to machines', async () => {
  const folder = await tempFolder();
  const [mermaid, json] = await Promise.all([
    run(['plan', 'url-shortener', '--mermaid'], cleanEnv(), folder),
    run(['plan', 'url-shortener', '--json'], cleanEnv(), folder),
  ]);
  expect(mermaid.stdout).toMatch(/^(graph|flowchart) /);
  expect(mermaid.stdout).toContain('frontend');
  expect(JSON.parse(json.stdout)).toMatchObject({ workflow: 'url-shortener' });
  expect([mermaid.exit, json.exit]).toEqual([0, 0]);
});

test('what is not a terminal gets plain lines, in help as well', async () => {
  const ended = await alone(['run', '--help'], { FORCE_COLOR: '', TERM: 'xterm-256color' });
  expect(ended.exit).toBe(0);
  expect(ended.stdout).toContain('Examples:');
  expect(ended.stdout).not.toContain('\u001b');
  const version = await alone(['--version']);
  const manifest: unknown = JSON.parse(await readFile(join(import.meta.dirname, '../../package.json'), 'utf8'));
  expect(manifest).toMatchObject({ version: version.stdout.trim() });
});
