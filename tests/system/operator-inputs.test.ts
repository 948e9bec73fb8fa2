import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { testRedis } from '../support/test-redis.ts';
import { REQUIREMENT, RunJson, jsonOf, place, run, start } from './maestro.ts';

const LONG = { timeout: 200_000 };
const OVERLAY = `apiVersion: maestro/v1
extends: phase_slos
phases:
  requirements:
    exit_gates:
      - { gate: recovery_known, condition: mean_time_to_recovery_minutes <= 60 }
      - { gate: documents_there, condition: lines_of_code >= 3 }
measure:
  commands:
    - id: documents
      argv: [sh, -c, 'printf "{\\"files\\": %s}" "$(find docs -type f | wc -l)" > "$1"', sh, '{out}/count.json']
      produces: { path: count.json, format: json }
      metrics: { lines_of_code: { from: json, pointer: /files, examined: /files } }
`;
/** One phase, which goes back to nobody. */
const WORKFLOW = `apiVersion: maestro/v1
name: url-shortener
inputs: { requirement: { type: string, minLength: 10 } }
phases:
  requirements: { persona: requirement_analyst, rework: 0 }
`;

function recordsText(): string {
  const before = (minutes: number): string => new Date(Date.now() - minutes * 60_000).toISOString();
  return `schema: maestro.operations/v1
service: links
source: the pager
period: { from: ${before(10_080)}, to: ${before(0)} }
incidents:
  - { id: INC-1, title: Full disk, severity: high, opened: ${before(90)}, acknowledged: ${before(85)}, resolved: ${before(60)} }
`;
}

const Phase = z.looseObject({
  rounds: z.array(
    z.looseObject({
      gates: z.array(z.looseObject({ gate: z.string(), outcome: z.string(), message: z.string() })),
      policyDigest: z.string(),
    }),
  ),
});
const HttpGates = z.looseObject({
  phases: z.array(z.looseObject({ phase: z.string(), rounds: z.array(z.looseObject({ verdict: z.unknown() })) })),
});

test('overlay and records reach the gates of a run, from the command line and over HTTP', LONG, async () => {
  const { env, home } = await place(testRedis());
  const records = recordsText();
  await writeFile(join(home, 'overlay.yaml'), OVERLAY);
  await writeFile(join(home, 'workflow.yaml'), WORKFLOW);
  await writeFile(join(home, 'records.yaml'), records);
  await writeFile(join(home, 'wrong.yaml'), records.replace('resolved', 'resolve'));
  const worker = start(['worker', '--provider', 'scripted'], env, home);
  const serving = start(['serve', '--port', '0', '--provider', 'scripted', '--overlay', 'overlay.yaml'], env, home);
  await worker.says(/^worker ready/m);

  const judged = ['--overlay', 'overlay.yaml', '--input', REQUIREMENT, '--provider', 'scripted', '--json'];
  const runWith = (...args: string[]) => run(['run', 'workflow.yaml', ...judged, ...args], env, home);
  const lastGates = (json: unknown) => {
    const [phase] = RunJson.parse(json).phases;
    const round = Phase.parse(phase).rounds.at(-1);
    const gates = round?.gates.filter(({ gate }) => gate === 'recovery_known' || gate === 'documents_there');
    return {
      digest: round?.policyDigest,
      gates: gates?.map(({ gate, outcome, message }) => `${gate} ${outcome}: ${message}`),
    };
  };
  const given = lastGates(jsonOf(await runWith('--records', 'records.yaml'), 0));
  expect(given.gates).toEqual([
    expect.stringMatching(/^recovery_known passed: mean_time_to_recovery_minutes 30, /),
    expect.stringMatching(/^documents_there passed: lines_of_code \d/),
  ]);
  const missing = await runWith();
  expect(missing.stderr).toContain('the policies are overlaid by');
  expect(lastGates(jsonOf(missing, 3)).gates?.[0]).toMatch(/^recovery_known error: .*no records of the service/);
  const wrong = await runWith('--records', 'wrong.yaml');
  expect(wrong).toMatchObject({ exit: 2, stdout: '' });
  expect(wrong.stderr).toMatch(/wrong\.yaml:6:\d+: .*unknown key "resolve"/);

  const url = (await serving.says(/serving (http:\/\/127\.0\.0\.1:\d+)\//))[1] ?? '';
  const answer = await fetch(`${url}/api/workflows/url-shortener/execute`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      inputs: { requirement: REQUIREMENT },
      records: { name: 'records.yaml', text: records },
    }),
  });
  const { runId } = z.looseObject({ runId: z.string() }).parse(await answer.json());
  const verdictOf = async (): Promise<unknown> => {
    const { phases } = HttpGates.parse(await (await fetch(`${url}/api/runs/${runId}/gates`)).json());
    return phases.find(({ phase }) => phase === 'requirements')?.rounds[0]?.verdict;
  };
  await expect.poll(verdictOf, { timeout: 60_000, interval: 200 }).toMatchObject({ policyDigest: given.digest });
  expect(JSON.stringify(await verdictOf())).toMatch(/"gate":"recovery_known"[^}]*"outcome":"passed"/);
  await run(['cancel', runId], env, home);
});

test('a server is not started on a wrong overlay, and says where it is wrong', async () => {
  const { env, home } = await place(testRedis());
  await writeFile(join(home, 'maestro.policies.yaml'), OVERLAY.replace('lines_of_code: {', 'lines_of_cod: {'));
  const [served, named] = await Promise.all([
    run(['serve', '--port', '0'], env, home),
    run(['up', '--port', '0', '--overlay', 'none.yaml'], env, home),
  ]);
  expect(served.exit).toBe(2);
  expect(served.stderr).toMatch(/maestro\.policies\.yaml:13:18: unknown metric "lines_of_cod" \(did you mean/);
  expect(named).toMatchObject({ exit: 2 });
  expect(named.stderr).toContain('none.yaml cannot be read');
});
