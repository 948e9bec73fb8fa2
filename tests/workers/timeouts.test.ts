import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { startFleetOf } from '../support/gate-fleet.ts';
import { testRedis } from '../support/test-redis.ts';

const run = promisify(execFile);

/** Processes of this machine whose command line holds a text. */
async function running(text: string): Promise<string[]> {
  const { stdout } = await run('ps', ['-eo', 'pid=,args=']);
  return stdout.split('\n').filter((line) => line.includes(text));
}

test('gates that take longer than the timeout of their phase are stopped, with all that they started', async () => {
  const marker = `sleeper-${process.pid}-${Date.now()}`;
  const files = {
    'package.json': JSON.stringify({ name: 'slow', type: 'module', scripts: { test: 'node --test', build: 'true' } }),
    'src/backend/index.js': 'export const one = 1;\n',
    [`tests/unit/${marker}.test.js`]: `import test from 'node:test';\nimport { one } from '../../src/backend/index.js';\ntest('slow', () => new Promise((done) => setTimeout(done, 300_000, one)));\n`,
  };
  const fleet = await startFleetOf(testRedis(), async (tree) => {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(tree, name)), { recursive: true });
      await writeFile(join(tree, name), text);
    }
  });
  const plan = await fleet.start({ policy: 'custom_component', approvalRoles: [], timeoutMs: 15_000 }, true);
  await expect.poll(() => running(marker), { timeout: 60_000, interval: 100 }).not.toEqual([]);
  await fleet.ended(plan);
  expect(await fleet.phaseOf(plan)).toMatchObject({
    status: 'failed',
    reason: 'timed out after 15 s while its gates were measured',
  });
  expect((await fleet.store.getRun(plan.runId)).status).toBe('failed');
  await expect.poll(() => running(marker), { timeout: 5_000 }).toEqual([]);
});
