import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { testRedis } from '../support/test-redis.ts';
import { REQUIREMENT, RunJson, jsonOf, place, run, start } from './maestro.ts';

const redis = testRedis();

const WORKFLOW = `apiVersion: maestro/v1
name: small
inputs: { requirement: { type: string, minLength: 10 } }
phases:
  only: { persona: requirement_analyst, policy: none }
`;
const SCRIPT = `workflow: small
jobs:
  - phase: only
    persona: requirement_analyst
    turns:
      - { say: I write it., tools: [{ tool: write_file, input: { path: note.md, content: A note. } }] }
      - tools: [{ tool: hand_off, input: { summary: A note is there. } }]
`;

const Costs = z.looseObject({
  simulated: z.boolean(),
  replayed: z.boolean(),
  totals: z.looseObject({ calls: z.number(), costUsd: z.number(), outputTokens: z.number() }),
  calls: z.array(z.looseObject({ requestId: z.string(), outputTokens: z.number() })),
});
const Bill = z.looseObject({
  charges: z.array(z.looseObject({ requestId: z.string(), outputTokens: z.number(), isComplete: z.boolean() })),
});

test('a script of ones own is played, recorded, played again without it, and accounted for, as typed', async () => {
  const { home, env } = await place(redis);
  await writeFile(join(home, 'small.yaml'), WORKFLOW);
  await writeFile(join(home, 'small.script.yaml'), SCRIPT);
  const maestro = (...args: string[]) => run(args, env, home);
  const scripted = start(['scripted', '--script', 'small.script.yaml', '--json'], env, home);
  const [, url = ''] = await scripted.says(/scripted provider at (\S+), until Ctrl-C; simulated/);
  await scripted.says(/plays small: 1 conversation/);
  const worker = start(['worker', '--provider', 'scripted'], { ...env, MAESTRO_SCRIPTED_URL: url }, home);
  await worker.says(/^worker ready/m);

  const first = await maestro(
    'run',
    'small.yaml',
    '--provider',
    'scripted',
    '--input',
    REQUIREMENT,
    '--record',
    'small.cassette.json',
    '--json',
  );
  const { runId, status } = RunJson.parse(jsonOf(first, 0));
  expect(status).toBe('passed_with_warnings');
  scripted.child.kill('SIGINT');
  const { charges } = Bill.parse(jsonOf(await scripted.ended, 0));
  expect(charges.map(({ isComplete }) => isComplete)).toEqual([true, true]);

  // The provider has gone: only the recording can answer.
  expect(await readFile(join(home, 'small.cassette.json'), 'utf8')).not.toMatch(/x-api-key|authorization/i);
  const again = await maestro(
    'run',
    'small.yaml',
    '--provider',
    'replay',
    '--cassette',
    'small.cassette.json',
    '--json',
  );
  const replayed = RunJson.parse(jsonOf(again, 0));
  expect(replayed).toMatchObject({ status, simulated: true, replayed: true });
  expect(replayed.phases[0]?.rounds[0]).toMatchObject({ simulated: true, replayed: true });
  expect(again.stderr).toMatch(/^replayed: /m);
  expect(await readFile(replayed.report, 'utf8')).toContain('REPLAYED: the answers');
  const logs = await maestro('logs', replayed.runId);
  expect(logs.stderr).toMatch(/^replayed: [^]*^simulated: /m);
  expect(logs.stdout).toContain('replayed, simulated');

  const costs = Costs.parse(jsonOf(await maestro('costs', runId, '--json'), 0));
  expect(costs).toMatchObject({ simulated: true, replayed: false, totals: { calls: 2, costUsd: 0 } });
  const counts = (of: readonly { requestId: string; outputTokens: number }[]) =>
    of.map(({ requestId, outputTokens }) => [requestId, outputTokens]);
  expect(counts(costs.calls)).toEqual(counts(charges));
  const free = Costs.parse(jsonOf(await maestro('costs', replayed.runId, '--json'), 0));
  expect(free).toMatchObject({ simulated: true, replayed: true, totals: { calls: 2, costUsd: 0 } });
  expect((await maestro('costs', replayed.runId)).stdout).toMatch(
    /\[replayed, simulated\][^]*2 calls replayed from a rec/,
  );
  expect((await maestro('costs')).stdout).toContain('no call to a real provider in these days');
  expect((await maestro('costs', '--free', '--json')).stdout).toContain('"replayedCalls": 2');
});
