import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { loadScripts } from '../../src/workers/scripted/load-script.ts';
import { startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { place, processes, run, start } from './maestro.ts';

const redis = testRedis();
/** An odd number, so that nobody else's command is taken for it. */
const SLEEP = 'sleep 61.7345';

const SCRIPT = `workflow: sleepy
jobs:
  - phase: build
    persona: backend_developer
    kind: work
    round: 0
    turns:
      - say: This takes its time.
        tools: [{ tool: shell, input: { command: ${SLEEP} } }]
`;
const WORKFLOW = `apiVersion: maestro/v1
name: sleepy
inputs:
  prd_document: { type: string, default: none }
  design_document: { type: string, default: none }
  api_specification: { type: string, default: none }
  database_schema: { type: string, default: none }
phases:
  build: { persona: backend_developer, policy: none }
`;

const sleeping = async (): Promise<number[]> =>
  (await processes()).filter(({ text }) => text.includes(SLEEP)).map(({ pid }) => pid);

test(
  'a cancel ends the command of a persona within two seconds, with all it started',
  { timeout: 120_000 },
  async () => {
    const here = await place(redis);
    const demo = await tempFolder();
    await mkdir(join(demo, 'sleepy'));
    await writeFile(join(demo, 'sleepy', 'script.yaml'), SCRIPT);
    await writeFile(join(here.home, 'sleepy.yaml'), WORKFLOW);
    const model = await startScriptedProvider({ scripts: await loadScripts(demo), latencyMs: 0 });
    onTestFinished(() => model.close());
    const env = { ...here.env, MAESTRO_SCRIPTED_URL: model.url };
    await start(['worker'], env, here.home).says(/^worker ready/m);
    const begun = await run(['run', 'sleepy.yaml', '--provider', 'scripted', '--detach'], env, here.home);
    expect([begun.exit, begun.stderr]).toEqual([0, expect.anything()]);
    const runId = begun.stdout.trim();
    await expect.poll(async () => (await sleeping()).length, { timeout: 30_000 }).toBeGreaterThan(0);
    const done = await run(['cancel', runId, '--reason', 'enough'], env, here.home);
    const at = Date.now();
    expect([done.exit, done.stdout]).toEqual([0, expect.stringContaining('is cancelled')]);
    await expect.poll(async () => (await sleeping()).length, { timeout: 10_000, interval: 50 }).toBe(0);
    expect(Date.now() - at).toBeLessThan(5_000);
  },
);
