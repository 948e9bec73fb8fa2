import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { packagePath } from '../../src/shared/package-root.ts';
import { loadScripts } from '../../src/workers/scripted/load-script.ts';
import { startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { type Place, REQUIREMENT, RunJson, firstPhaseOnly, jsonOf, place, run, start } from './maestro.ts';

const redis = testRedis();
const LONG = { timeout: 200_000 };
const PATIENT = { timeout: 60_000, interval: 300 };
const SCRIPTED = ['--provider', 'scripted', '--input', REQUIREMENT];
const Resumed = z.strictObject({
  runId: z.string(),
  generation: z.number(),
  phases: z.array(z.string()),
  changed: z.boolean(),
});

async function withWorker(latencyMs = 0): Promise<Place & { maestro: (...args: string[]) => ReturnType<typeof run> }> {
  const here = await place(redis);
  const model = await startScriptedProvider({ scripts: await loadScripts(packagePath('demo')), latencyMs });
  onTestFinished(() => model.close());
  const env = { ...here.env, MAESTRO_SCRIPTED_URL: model.url };
  const worker = start(['worker'], env, here.home);
  await worker.says(/^worker ready/m);
  return { ...here, env, maestro: (...args) => run(args, env, here.home) };
}

test('a person takes the files of a blocked phase, mends them, and the same run passes with them', LONG, async () => {
  const { maestro } = await withWorker();
  const scenario = ['--scenario', 'sabotage:documentation_complete'];
  const blocked = await maestro('run', await firstPhaseOnly(), ...SCRIPTED, ...scenario, '--json');
  const { runId, phases } = RunJson.parse(jsonOf(blocked, 3));
  const rounds = phases[0]?.rounds.length ?? 0;

  const work = join(await tempFolder(), 'work');
  expect((await maestro('artifacts', runId, '--phase', 'requirements', '--out', work)).exit).toBe(0);
  const unchanged = await maestro('resume', runId, '--phase', 'requirements', '--edits', work, '--by', 'Ada');
  expect([unchanged.exit, unchanged.stderr]).toEqual([2, expect.stringMatching(/nothing that is not there already/)]);
  await cp(packagePath('demo', 'url-shortener', 'files', 'requirements'), work, { recursive: true });

  const edits = ['--phase', 'requirements', '--edits', work, '--by', 'Ada Lovelace'];
  const mended = RunJson.parse(jsonOf(await maestro('resume', runId, ...edits, '--follow', '--json'), 0));
  expect(mended).toMatchObject({ runId, simulated: true });
  expect(mended.status).toMatch(/^passed/);
  expect(mended.phases[0]?.rounds).toHaveLength(rounds + 1);

  const again = await maestro('resume', runId);
  expect([again.exit, again.stderr]).toEqual([2, expect.stringMatching(/nothing to resume.*retry RUN --from/)]);
  const unknown = await maestro('retry', runId, '--phase', 'requirement');
  expect([unknown.exit, unknown.stderr]).toEqual([2, expect.stringMatching(/no phase "requirement".*"requirements"/)]);
  expect((await maestro('retry', runId)).exit).toBe(2);
  expect((await maestro('pause', runId)).exit).toBe(2);

  const retried = Resumed.parse(jsonOf(await maestro('retry', runId, '--from', 'requirements', '--json'), 0));
  expect(retried).toEqual({ runId, generation: 2, phases: ['requirements'], changed: true });
});

test('a pause spends nothing more, and a cancel in the middle of a call stops the work', LONG, async () => {
  const { maestro } = await withWorker(4_000);
  const started = await maestro('run', await firstPhaseOnly(), ...SCRIPTED, '--detach');
  const runId = started.stdout.trim();
  const turns = async (): Promise<number> =>
    (await maestro('events', runId)).stdout.split('\n').filter((line) => line.includes('persona.turn')).length;
  const status = async (): Promise<string> =>
    z.looseObject({ status: z.string() }).parse(JSON.parse((await maestro('status', runId, '--json')).stdout)).status;
  await expect.poll(turns, PATIENT).toBeGreaterThan(0);
  expect((await maestro('pause', runId)).exit).toBe(0);
  // The turn under way ends; nothing begins after it.
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  const before = await turns();
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  expect(await turns()).toBe(before);
  expect(await status()).toBe('paused');
  expect((await maestro('resume', runId)).stdout).toContain('goes on');
  expect((await maestro('cancel', runId)).exit).toBe(0);
  expect(await status()).toBe('cancelled');
  const resumed = Resumed.parse(jsonOf(await maestro('resume', runId, '--json'), 0));
  expect(resumed).toMatchObject({ generation: 1, phases: ['requirements'] });
  // It goes on with the turns it had: the first event of this taking-up is not the first turn.
  await expect.poll(status, PATIENT).toBe('running');
  await expect.poll(turns, PATIENT).toBeGreaterThan(before);
  const log = (await maestro('events', runId)).stdout;
  expect(log.match(/ turn 1:/g)).toHaveLength(1);
  expect((await maestro('cancel', runId)).exit).toBe(0);
});

test('a run starts from a later phase with the files it is given', LONG, async () => {
  const { maestro } = await withWorker();
  const workflow = join(await tempFolder(), 'two.yaml');
  await writeFile(
    workflow,
    `apiVersion: maestro/v1
name: url-shortener
inputs: { requirement: { type: string, minLength: 10 } }
phases:
  requirements: { persona: requirement_analyst }
  design: { needs: [requirements], persona: solution_architect }
`,
  );
  const given = packagePath('demo', 'url-shortener', 'files', 'requirements');
  const ended = await maestro('run', workflow, ...SCRIPTED, '--from', 'design', '--files', given, '--json');
  const result = RunJson.parse(jsonOf(ended, 0));
  expect(result.status).toBe('passed_with_warnings');
  expect(result.phases.map(({ phase, status }) => [phase, status.replace('_with_warnings', '')])).toEqual([
    ['requirements', 'skipped'],
    ['design', 'passed'],
  ]);
  expect(ended.stderr).toMatch(/requirements +.*skipped: not run: the run starts from "design"/);
  const wrong = await maestro('run', workflow, ...SCRIPTED, '--from', 'desing');
  expect([wrong.exit, wrong.stderr]).toEqual([2, expect.stringMatching(/no such phase.*"design"/)]);
});
