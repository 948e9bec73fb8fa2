import { access, mkdir, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { getJson } from '../../src/shared/blob-store.ts';
import { runProcess } from '../../src/shared/process.ts';
import { BlobRef } from '../../src/shared/run-record.ts';
import { RoundEvidence } from '../../src/shared/round-evidence.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { REQUIREMENT, RunJson, jsonOf, place, run, start } from './maestro.ts';

const redis = testRedis();
const LONG = { timeout: 400_000 };

const Phases = z.array(z.looseObject({ phase: z.string(), rounds: z.array(z.looseObject({ evidence: BlobRef })) }));
const Events = z.looseObject({ events: z.array(z.looseObject({ type: z.string() })) });

/** Lines of a repository's log: author, subject and trailers of every commit. */
async function gitLog(repository: string): Promise<string> {
  const { stdout } = await runProcess({
    argv: ['git', 'log', '--format=%an%n%B'],
    cwd: repository,
    env: { PATH: process.env['PATH'] ?? '' },
    timeoutMs: 20_000,
    outputBytes: 1_000_000,
  });
  return stdout;
}

test('two workers, a server and a run as processes of their own give the verdict of the demo', LONG, async () => {
  const blobs = await tempFolder();
  const first = await place(redis, blobs);
  const second = await place(redis, blobs);
  const caller = await place(redis, blobs);
  const here = 'requirement_analyst,backend_developer,phase_reviewer,project_reviewer';
  const there = 'solution_architect,frontend_developer,qa_engineer,security_specialist';
  const scripted = ['--provider', 'scripted'];
  const logged = { MAESTRO_LOG_LEVEL: 'info' };
  const workers = [
    start(['worker', ...scripted, '--personas', here], { ...first.env, ...logged }, first.home),
    start(['worker', ...scripted, '--gates', '--personas', there], { ...second.env, ...logged }, second.home),
  ];
  const server = start(['serve', '--port', '0', ...scripted], caller.env, caller.home);
  const url = (await server.says(/serving (http:\/\/127\.0\.0\.1:\d+)\//))[1] ?? '';
  await Promise.all(workers.map((worker) => worker.says(/^worker ready/m)));

  const args = ['run', 'url-shortener', ...scripted, '--input', REQUIREMENT, '--json'];
  const ended = await run(args, caller.env, caller.home);
  const result = RunJson.parse(jsonOf(ended, 0));
  expect(result).toMatchObject({ status: 'passed', simulated: true });
  expect(result.gates).toMatchObject({ evaluated: 26, passed: 26, failed: 0, errors: 0, reworkRounds: 1 });
  const lines = ended.stderr.trimEnd().split('\n');
  expect(lines[0]).toMatch(/^simulated/);
  expect(lines.at(-1)).toMatch(/^simulated/);
  expect(ended.stderr).not.toContain('\u001b');
  expect(ended.stderr).toContain('1 rework round\n');

  const log = await gitLog(result.repository ?? '');
  for (const persona of ['requirement_analyst', 'backend_developer', 'frontend_developer', 'qa_engineer'])
    expect(log).toContain(persona);
  const status = await fetch(`${url}/api/runs/${result.runId}`);
  expect(await status.json()).toMatchObject({ run: { status: 'passed', simulated: true } });

  const told = await run(['status', result.runId, '--json'], caller.env, caller.home);
  const { phases } = z.looseObject({ phases: Phases }).parse(JSON.parse(told.stdout));
  const store = openBlobStore(blobs);
  const evidence = await Promise.all(
    phases.flatMap((phase) => phase.rounds.map((round) => getJson(store, round.evidence, RoundEvidence))),
  );
  expect(evidence).toHaveLength(7);
  for (const round of evidence) expect(round.measurements.length).toBeGreaterThan(0);
  expect(await readFile(result.report, 'utf8')).toContain('Claimed beside measured');
  // Each worker had its own folder, and each was given work.
  for (const worker of workers) worker.child.kill('SIGTERM');
  const [one, other] = await Promise.all(workers.map((worker) => worker.ended));
  expect(one).toMatchObject({ exit: 0 });
  const done = (phase: string, persona: string): RegExp =>
    new RegExp(`"jobId":"${result.runId}\\.${phase}\\.${persona}\\.r0","msg":"job done"`);
  expect(one?.stderr).toMatch(done('backend', 'backend_developer'));
  expect(one?.stderr).not.toMatch(done('frontend', 'frontend_developer'));
  expect(other?.stderr).toMatch(done('frontend', 'frontend_developer'));
});

test('a blocked run names gate, metric, value and requirement, and can be looked at afterwards', LONG, async () => {
  const { env, home } = await place(redis);
  const worker = start(['worker', '--provider', 'scripted'], env, home);
  await worker.says(/^worker ready/m);
  const scenario = ['--provider', 'scripted', '--scenario', 'sabotage:documentation_complete'];
  const ended = await run(['run', 'url-shortener', ...scenario, '--input', REQUIREMENT, '--json'], env, home);
  expect(ended.stderr).toMatch(
    /gate documentation_complete failed: documentation_completeness 0\.\d+, required >= 0\.90/,
  );
  const result = RunJson.parse(jsonOf(ended, 3));
  expect(result.phases.map((phase) => phase.status)).toEqual(['blocked', ...Array<string>(5).fill('not_started')]);

  const { runId } = result;
  const status = await run(['status', runId, '--json'], env, home);
  expect(status.exit).toBe(3);
  expect(JSON.parse(status.stdout)).toMatchObject({ runId, status: 'blocked', simulated: true });
  const events = await run(['events', runId, '--json'], env, home);
  const types = Events.parse(JSON.parse(events.stdout)).events.map((event) => event.type);
  expect(types.filter((type) => type === 'run.finished')).toHaveLength(1);
  expect(types).toContain('gate.verdict');
  const logs = await run(['logs', runId, 'requirements'], env, home);
  expect(logs.stdout).toMatch(/requirements: requirement_analyst, work [^]*✎ write[^]*⇒ hands +the work over/);
  expect(logs.stdout).toMatch(
    / hands +the work over[^]*\n━━ requirements: gates[^\n]* · ✘ blocked · [^]*\d+ findings?\n/,
  );

  const html = join(home, 'deep', 'report.html');
  const report = await run(['report', runId, '--html', html], env, home);
  expect(report.exit).toBe(0);
  expect(report.stdout).toContain(html);
  const page = await readFile(html, 'utf8');
  expect(page).toContain('SIMULATED');
  expect(page).toMatch(/Findings \(\d+\)/);

  const out = join(home, 'full');
  await mkdir(join(out, 'mine'), { recursive: true });
  const refused = await run(['artifacts', runId, '--out', out], env, home);
  expect(refused).toMatchObject({ exit: 2, stdout: '' });
  expect(await readdir(out)).toEqual(['mine']);
  const nothing = await run(['artifacts', runId, '--out', join(home, 'new'), '--json'], env, home);
  expect(nothing.exit).toBe(0);
  expect(JSON.parse(nothing.stdout)).toMatchObject({ repository: null, status: 'blocked' });
  await expect(access(join(home, 'new'))).rejects.toThrow('ENOENT');
});
