import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pc from 'picocolors';
import { expect, test } from 'vitest';
import { conflictLines, exitOfResult } from '../../src/cli/commands/run-result.ts';
import { exportRun } from '../../src/producer/export-run.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { openWorkspace } from '../../src/shared/workspace.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { planOf } from './seed-run.ts';

const redis = testRedis();

test('work of passed phases that does not fit together is named, left out, and no success', async () => {
  const folder = await tempFolder();
  const blobs = openBlobStore(join(folder, 'blobs'));
  const store = new RunStore(await redis.connect(), redis.prefix);
  const plan = planOf(['backend', 'docs', 'frontend']);
  for (const phase of plan.phases) phase.needs = [];
  await store.createRun(plan);
  const files = { backend: ['api.md', 'one'], docs: ['api.md', 'two'], frontend: ['page.html', 'three'] };
  for (const [phase, [file = '', text = '']] of Object.entries(files)) {
    const { workspace } = await openWorkspace({ dir: join(folder, phase), blobs, sources: [] });
    await writeFile(join(workspace.dir, file), text);
    const author = { name: phase, email: `${phase}@maestro.invalid` };
    await workspace.commitAll({ message: phase, trailers: {}, author, date: '2026-11-23T10:00:00Z' });
    const made = await workspace.bundle();
    await store.updatePhase(plan.runId, phase, (record) => ({
      next: { ...record, status: 'passed', finishedAt: plan.createdAt, ...made },
      events: [],
    }));
  }
  const dir = join(folder, 'repository');
  const exported = await exportRun({ store, blobs, runId: plan.runId, dir, scratch: join(folder, 'work') });
  expect(exported).toMatchObject({
    repository: dir,
    phases: ['backend', 'frontend'],
    leftOut: ['docs'],
    conflicts: [{ file: 'api.md', labels: ['backend', 'docs'] }],
  });
  expect(conflictLines(pc.createColors(false), exported)).toEqual([
    '  blocked     the work of docs does not fit with the rest and is not in the repository',
    '  conflict    api.md was changed by backend and docs',
  ]);
  const run = { ...(await store.getRun(plan.runId)), status: 'passed', finishedAt: plan.createdAt } as const;
  expect(exitOfResult({ run, exported })).toBe(3);
  expect(exitOfResult({ run: { ...run, status: 'cancelled' }, exported })).toBe(5);
  expect(exitOfResult({ run, exported: { ...exported, conflicts: [] } })).toBe(0);
});
