import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { packagePath } from '../../src/shared/package-root.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { type Ended, cleanEnv, run, start } from './maestro.ts';

const GOOD = {
  documentation_completeness: 0.95,
  stakeholder_approval: 1,
  acceptance_criteria_defined: 1,
  requirements_traceability: 1,
  clarity_score: 0.9,
};

/** `maestro gates eval --json` on the text of a file of metrics. */
async function evaluate(text: string): Promise<Ended> {
  const folder = await tempFolder();
  await writeFile(join(folder, 'm.json'), text);
  return run(['gates', 'eval', '--phase', 'requirements', '--metrics', 'm.json', '--json'], cleanEnv(), folder);
}
const evaluateMetrics = (metrics: Record<string, unknown>): Promise<Ended> => evaluate(JSON.stringify({ metrics }));

const Verdict = z.looseObject({
  verdict: z.string(),
  gates: z.array(
    z.looseObject({ gate: z.string(), values: z.record(z.string(), z.looseObject({ source: z.string() })) }),
  ),
  criteria: z.array(z.looseObject({ criterion: z.string(), outcome: z.string(), source: z.string() })),
  artifacts: z.array(z.looseObject({ outcome: z.string() })),
  targets: z.array(z.looseObject({ outcome: z.string() })),
  errors: z.array(z.looseObject({ metric: z.string(), reason: z.string() })),
});

test('gates eval prints the agreed document, with every value marked as supplied', async () => {
  const ended = await evaluateMetrics(GOOD);
  expect(ended.exit).toBe(0);
  const verdict = Verdict.parse(JSON.parse(ended.stdout));
  expect(verdict).toMatchObject({ phase: 'requirements', policy: 'requirements', fallback: false, verdict: 'passed' });
  expect(Object.keys(verdict.gates[0] ?? {})).toEqual(
    expect.arrayContaining(['gate', 'condition', 'severity', 'outcome', 'values', 'message']),
  );
  expect(Object.keys(verdict.criteria[0] ?? {})).toEqual(
    expect.arrayContaining(['criterion', 'threshold', 'direction', 'severity', 'outcome', 'value', 'message']),
  );
  const sources = [
    ...verdict.gates.flatMap((gate) => Object.values(gate.values).map((value) => value.source)),
    ...verdict.criteria.map((criterion) => criterion.source),
  ];
  expect(new Set(sources)).toEqual(new Set(['supplied']));
  expect(new Set([...verdict.artifacts, ...verdict.targets].map((each) => each.outcome))).toEqual(
    new Set(['not_supplied']),
  );
});

test('gates eval warns for a failed WARNING and blocks for a failed gate', async () => {
  const [warned, blocked] = await Promise.all([
    evaluateMetrics({ ...GOOD, clarity_score: 0.1 }),
    evaluateMetrics({ ...GOOD, documentation_completeness: 0.5 }),
  ]);
  expect([warned.exit, blocked.exit]).toEqual([0, 3]);
  expect(Verdict.parse(JSON.parse(warned.stdout)).verdict).toBe('passed_with_warnings');
  expect(Verdict.parse(JSON.parse(blocked.stdout)).verdict).toBe('blocked');
});

test.each(['null', '"0.9"', 'NaN', 'Infinity'])(
  'gates eval blocks on the value %s, even of a WARNING',
  async (value) => {
    const metrics = JSON.stringify({ ...GOOD, clarity_score: 0 }).replace(
      '"clarity_score":0',
      `"clarity_score":${value}`,
    );
    const ended = await evaluate(`{"metrics": ${metrics}}`);
    expect(ended.exit).toBe(3);
    const verdict = Verdict.parse(JSON.parse(ended.stdout));
    expect(verdict.verdict).toBe('blocked');
    expect(verdict.criteria).toContainEqual(expect.objectContaining({ criterion: 'clarity_score', outcome: 'error' }));
    expect(verdict.errors).toContainEqual(expect.objectContaining({ metric: 'clarity_score' }));
  },
);

test('gates eval refuses an unknown metric with the nearest name, and a file that is not there', async () => {
  const ended = await evaluateMetrics({ ...GOOD, documentation_completenes: 1 });
  expect(ended).toMatchObject({ exit: 2, stdout: '' });
  expect(ended.stderr).toContain('did you mean "documentation_completeness"?');
  const absent = await run(
    ['gates', 'eval', '--phase', 'requirements', '--metrics', 'none.json'],
    cleanEnv(),
    await tempFolder(),
  );
  expect(absent).toMatchObject({ exit: 2, stdout: '' });
});

test('gates measures a folder without Redis or a key, in every format', async () => {
  const home = await tempFolder();
  const args = ['gates', packagePath('tests', 'fixtures', 'docs-links'), '--phase', 'requirements', '--format'];
  const [table, json, junit, sarif] = await Promise.all(
    ['table', 'json', 'junit', 'sarif'].map((format) => run([...args, format], cleanEnv({ MAESTRO_HOME: home }), home)),
  );
  // Nobody has signed this folder off, and a missing approval blocks.
  expect([table?.exit, json?.exit, junit?.exit, sarif?.exit]).toEqual([3, 3, 3, 3]);
  expect(table?.stdout).toMatch(/BLOCKED.*\n[^]*stakeholder_approved[^]*not evaluable/);
  expect(table?.stdout).not.toContain('\u001b');
  expect(JSON.parse(json?.stdout ?? '')).toMatchObject({ verdict: 'blocked' });
  expect(junit?.stdout).toMatch(/^<\?xml[^]*<testsuites?[^]*stakeholder_approved/);
  expect(JSON.parse(sarif?.stdout ?? '')).toMatchObject({ version: '2.1.0', runs: [expect.anything()] });
});

test('a reader that has seen enough, as head does, changes no exit code', async () => {
  const home = await tempFolder();
  const docs = packagePath('tests', 'fixtures', 'docs-links');
  const gates = start(['gates', docs, '--phase', 'requirements'], cleanEnv({ MAESTRO_HOME: home }), home);
  gates.child.stdout?.destroy();
  expect(await gates.ended).toMatchObject({ exit: 3, stdout: '' });
});
