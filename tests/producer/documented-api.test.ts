import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { AuditLog } from '../../src/producer/audit.ts';
import { PACKAGE_ROOT, packagePath } from '../../src/shared/package-root.ts';
import { cleanEnv } from '../system/maestro.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { apiFixture } from './api-support.ts';

const { url, redis, prefix, store, tokenFor } = await apiFixture({ packageRoot: PACKAGE_ROOT });

it('answers the curl commands of its documentation, as they stand there', async () => {
  const text = await readFile(packagePath('docs', 'http-api.md'), 'utf8');
  const blocks = [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block = '']) => block);
  const asked = blocks.filter((block) => block.includes('curl '));
  const address = 'http://127.0.0.1:4000';
  expect([asked.length, asked[0]?.includes(`api=${address}\n`)]).toEqual([2, true]);
  const cwd = await tempFolder();
  await writeFile(join(cwd, 'brief.md'), 'A service that shortens links for a team.\n');
  const shipped = await readFile(packagePath('workflows', 'linear.yaml'), 'utf8');
  await writeFile(join(cwd, 'my-workflow.yaml'), shipped.replace('name: linear', 'name: my-workflow'));
  const [token, admin] = [await tokenFor('documented', ['run', 'read']), await tokenFor('owner', ['admin'])];
  // An answer that is a refusal ends the script; nothing else about the commands is changed but where they go.
  const script = ['set -euo pipefail', 'curl() { command curl --fail-with-body "$@"; echo >&2; }', ...asked].join('\n');
  const env = cleanEnv({ TOKEN: token, ADMIN: admin });
  const args = ['-c', script.replaceAll(address, url)];
  await promisify(execFile)('bash', args, { cwd, env, timeout: 30_000 });
  const { runs } = await store.listRuns({ limit: 10 });
  expect(runs.map(({ workflow, status }) => [workflow, status])).toEqual([
    ['linear', 'queued'],
    ['linear', 'queued'],
  ]);
  const { entries } = await new AuditLog(redis, prefix).read({ limit: 10 });
  expect(entries.toReversed().map(({ who, action, outcome }) => [who, action, outcome])).toEqual([
    ['documented', 'executeWorkflow', 'done'],
    ['documented', 'upload', 'done'],
    ['documented', 'executeWorkflow', 'done'],
    ['owner', 'uploadWorkflow', 'done'],
  ]);
});
