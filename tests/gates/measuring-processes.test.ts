import { join } from 'node:path';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { readDocument } from '../../src/gates/document-problems.ts';
import { documentsCollector } from '../../src/gates/collectors/documents/documents.ts';
import { runCollector } from '../../src/gates/run-collector.ts';
import { MeasuringProcesses } from '../../src/gates/separate/measuring-processes.ts';
import { NOTHING_RUNS, slowDocument } from '../support/slow-document.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { check, realSandbox } from './integrity/support.ts';
import { Project, collect, contextFor } from './collectors/documents-support.ts';

const METRIC = 'documentation_completeness';
const processes = new MeasuringProcesses(NOTHING_RUNS);
afterAll(() => processes.close());

const PRD = 'docs/requirements/prd.md';
/** Within what a document may have; its parser takes minutes for it. */
const ENDLESS = slowDocument(18_000);

test('a collector measures the same in a process of its own, its faults included', async () => {
  const separate = processes.separate(documentsCollector);
  const project = new Project().edit(PRD, '## Goals', '## Gaols');
  const here = await collect(documentsCollector, project, [METRIC]);
  expect(here.findings.length).toBeGreaterThan(0);
  expect(await collect(separate, project, [METRIC])).toEqual(here);
  const unknown = processes.separate({ ...documentsCollector, version: 'of another build' });
  await expect(collect(unknown, project, [METRIC])).rejects.toThrow('there is no collector documents@of another build');
});

test('a file that takes minutes to parse ends with the time of its collector, and holds up nothing meanwhile', async () => {
  const separate = processes.separate(documentsCollector);
  const project = new Project().write(PRD, ENDLESS);
  const scratch = await tempFolder();
  let turns = 0;
  const ticking = setInterval(() => (turns += 1), 5);
  const run = await runCollector({
    collector: { ...separate, timeoutMs: 1_000 },
    context: contextFor(separate, project, [METRIC]),
    scratch,
    reportsDir: join(scratch, 'reports'),
    timeoutMs: 1_000,
    retries: 0,
    signal: new AbortController().signal,
  });
  clearInterval(ticking);
  expect(run.measurements.map(({ status }) => status)).toEqual(['not_evaluable']);
  expect(JSON.stringify(run.measurements)).toContain('did not finish within 1 s');
  expect(turns).toBeGreaterThan(0);
  await expect.poll(() => processes.pids, { timeout: 20_000 }).toEqual([]);
  // The next one is measured as ever.
  const next = await collect(separate, new Project(), [METRIC]);
  expect(next.values[METRIC]).toHaveProperty('examined');
}, 60_000);

test('a document is read the same there; one that cannot be read in time lacks everything, and holds up nothing', async () => {
  const spec = { sections: ['Goals', 'Nowhere'], fenced: 'mermaid' };
  const { root } = new Project().write('docs/endless.md', ENDLESS);
  const { signal } = new AbortController();
  const here = await readDocument(root, PRD, spec);
  expect(here).toContain(`${PRD} has no heading "Nowhere"`);
  expect(await processes.readDocument(signal)(root, PRD, spec)).toEqual(here);
  const hasty = new MeasuringProcesses(NOTHING_RUNS, { readMs: 300 });
  onTestFinished(() => hasty.close());
  let turns = 0;
  const ticking = setInterval(() => (turns += 1), 5);
  const read = hasty.readDocument(signal);
  const all = await Promise.all(Array.from({ length: 4 }, () => read(root, 'docs/endless.md', spec)));
  clearInterval(ticking);
  const late = 'docs/endless.md cannot be read: that takes more than 0.3 s';
  expect(all.flat()).toEqual([late, late, late, late]);
  // So many slow ones use up the time of all.
  expect(await read(root, PRD, spec)).toEqual([`${PRD} was not read: the documents before it took too long`]);
  expect(await hasty.readDocument(signal)(root, 'docs/endless.md', spec)).toEqual([late]);
  expect(turns).toBeGreaterThan(50);
  // However many were asked for, at most two were read at once.
  expect(hasty.pids.length).toBeLessThanOrEqual(2);
  const cancelled = new AbortController();
  const waited = hasty.readDocument(signal)(root, 'docs/endless.md', spec);
  cancelled.abort();
  const given = hasty.readDocument(cancelled.signal)(root, PRD, spec);
  await expect(given).rejects.toThrow('aborted');
  await waited;
}, 60_000);

test('a process that is lost is no fault of the document: it is read by another one', async () => {
  const { root } = new Project();
  const mortal = new MeasuringProcesses(NOTHING_RUNS);
  onTestFinished(() => mortal.close());
  const read = mortal.readDocument(new AbortController().signal);
  const spec = { sections: ['Goals'], fenced: undefined };
  expect(await read(root, PRD, spec)).toEqual([]);
  for (const pid of mortal.pids) process.kill(pid, 'SIGKILL');
  expect(await read(root, PRD, spec)).toEqual([]);
});

test('a process that cannot be started is told at once, and is forgotten', async () => {
  const none = new MeasuringProcesses(NOTHING_RUNS);
  const { execPath } = process;
  process.execPath = '/nowhere/node';
  onTestFinished(() => void (process.execPath = execPath));
  const separate = none.separate(documentsCollector);
  await expect(collect(separate, new Project(), [METRIC])).rejects.toThrow(
    /the process that measured failed: .*ENOENT/,
  );
  expect(none.pids).toEqual([]);
  process.execPath = execPath;
  const next = await collect(separate, new Project(), [METRIC]);
  expect(next.values[METRIC]).toHaveProperty('examined');
  none.close();
});

test('integrity is checked the same there; a check that takes too long could not be made', async () => {
  const { settings: real } = await realSandbox();
  if (real === undefined) throw new Error('the sandbox cannot be opened again');
  const there = new MeasuringProcesses(real);
  onTestFinished(() => there.close());
  const work = {
    base: { 'src/other.js': 'export const one = 1;\n' },
    work: {
      'src/big.js': 'export const big = (value) => value > 3;\n',
      'tests/unit/big.test.js': `import assert from 'node:assert/strict';\nimport { test } from 'node:test';\nimport { big } from '../../src/big.js';\ntest('big', () => { assert.ok(big(4)); });\n`,
    },
  };
  const told = ({ checks, findings, isWhole }: Awaited<ReturnType<typeof check>>) => ({ checks, findings, isWhole });
  const here = await check(work);
  expect(here.of('tests_mean_something').outcome).not.toBe('error');
  expect(told(await check({ ...work, make: there.checkIntegrity }))).toEqual(told(here));
  const hasty = new MeasuringProcesses(real, { checkMs: 6 });
  onTestFinished(() => hasty.close());
  const late = await check({ ...work, make: hasty.checkIntegrity });
  // What is done before it hears that its time is over counts.
  expect(late.of('tests_mean_something')).toMatchObject({
    outcome: 'error',
    message: 'could not be checked: it took more than 0.0001 minutes',
  });
  expect(late.isWhole).toBe(false);
});
