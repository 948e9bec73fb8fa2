import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { documentsCollector } from '../../src/gates/collectors/documents/documents.ts';
import { runCollector } from '../../src/gates/run-collector.ts';
import { CollectorProcesses } from '../../src/gates/separate/collector-processes.ts';
import type { SandboxSettings } from '../../src/shared/sandbox/sandbox-settings.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { Project, collect, contextFor } from './collectors/documents-support.ts';

/** Documents are read without running anything. */
const settings: SandboxSettings = {
  direct: { kind: 'off', description: 'none', prlimit: 'none', setpriv: 'none', uid: undefined },
};
const METRIC = 'documentation_completeness';
const processes = new CollectorProcesses(settings);
afterAll(() => processes.close());

const PRD = 'docs/requirements/prd.md';
/** Within what a document may have; its parser takes minutes for it. */
const ENDLESS = '# A\n\nword *x* [l](http://a) and `c`\n\n- a\n- b\n\n'.repeat(18_000);

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
