import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, expect, test } from 'vitest';
import { startServer } from '../../src/producer/server.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { dropLiveCommand, putLiveCommand } from '../../src/shared/live-commands.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { moveRun } from '../../src/shared/transitions.ts';
import { launchBrowser, looksWell, openPage } from '../support/browser.ts';
import { testRedis } from '../support/test-redis.ts';
import { fixtureRoot } from './fixture.ts';
import { HOSTILE, seedRunWithFiles } from './run-with-files.ts';
import { planOf } from './seed-run.ts';

const ownRedis = testRedis();
const redis = await ownRedis.connect();
const store = new RunStore(redis, ownRedis.prefix);
const folder = await mkdtemp(join(tmpdir(), 'maestro-files-'));
const blobs = openBlobStore(join(folder, 'blobs'));
const server = await startServer({
  host: '127.0.0.1',
  port: 0,
  redisUrl: ownRedis.url,
  prefix: ownRedis.prefix,
  blobs,
  packageRoot: await fixtureRoot(),
  provider: 'scripted',
  logger: silentLogger(),
});
const { runId } = await seedRunWithFiles({ store, blobs, folder });
const browser: Browser = await launchBrowser();
afterAll(async () => {
  await browser.close();
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

test('files are found, read in colours, and taken home', async () => {
  const { page, faults } = await openPage(browser, server.url, `/#/runs/${runId}/files`);
  await page.getByRole('link', { name: 'app.js' }).click();
  const content = page.getByRole('region', { name: 'Content of src/app.js' });
  await content.getByText('two();').waitFor();
  expect(await content.locator('.hljs-title').count()).toBeGreaterThan(0);
  await page.getByText('last changed by coder').waitFor();
  // A name that looks like markup is a name.
  await page.getByRole('link', { name: HOSTILE.replace('\n', ' ') }).click();
  await page.getByRole('region', { name: 'Content of' }).getByText('x', { exact: true }).waitFor();
  await page.getByRole('link', { name: 'logo.png' }).click();
  await page.getByText('The file is not text.').waitFor();
  await page.getByLabel('Find a file').fill('design');
  await page.getByText('1 file, commit').waitFor();
  const zip = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Zip' }).click()]);
  expect(zip[0].suggestedFilename()).toBe(`diamond-${runId}-simulated.zip`);
  await page.getByLabel('Find a file').fill('');
  await page.getByLabel('Work of').selectOption('docs');
  await page.getByRole('link', { name: 'guide.md' }).click();
  await page.getByText('a guide that was blocked').waitFor();
  expect(page.url()).toContain('phase=docs');
  await page.goto(`${server.url}/#/runs/${runId}/files/src/app.js?line=2`);
  await page.locator('.code-line').waitFor({ state: 'attached' });
  await looksWell(page, 'files');
  expect(faults).toEqual([]);
});

test('each change is listed, and shown as a diff', async () => {
  const { page, faults } = await openPage(browser, server.url, `/#/runs/${runId}/changes`);
  await page.getByText('4 changes, newest first').waitFor();
  await looksWell(page, 'changes');
  await page.getByRole('link', { name: 'backend: round 1' }).click();
  const diff = page.getByRole('region', { name: 'Changes of src/app.js' });
  await diff.getByText('-one();').waitFor();
  expect(await diff.locator('tr.added').count()).toBe(2);
  await page.getByText('The file is not text.').waitFor();
  await looksWell(page, 'diff');
  await page.setViewportSize({ width: 360, height: 800 });
  // A line is a line on a phone too.
  expect((await diff.locator('tr.added').first().boundingBox())?.height).toBeLessThan(30);
  expect(faults).toEqual([]);
});

test('a conversation is read turn by turn, and what it holds is never markup', async () => {
  const { page, faults } = await openPage(browser, server.url, `/#/runs/${runId}/transcript/backend/coder.work.r0`);
  const turn = page.getByRole('article', { name: 'Turn 1' });
  await turn.getByText('I change <script>alert(1)</script> the call.').waitFor();
  await turn.getByText('1.5 s, 1,234 tokens, none (simulated), answered by scripted-1').waitFor();
  // What failed is open: the edit as a diff, and what the tool said.
  await turn.getByText('-one();').waitFor();
  await turn.getByText('old_text does not occur').waitFor();
  await turn.getByText('You have called edit_file').waitFor();
  await page.getByText('Asked for and not given: shell').waitFor();
  await page.getByText('What it was told').click();
  await page.getByText('Write the service <b>now</b>.').waitFor();
  await page.getByRole('link', { name: 'docs coder, work, round 1' }).click();
  await page.getByRole('heading', { name: 'docs: coder, work, round 1 replayed simulated' }).waitFor();
  await page
    .getByText('Asked claude-opus-5-5, which was overloaded: answered by scripted-1 as fallback from turn 1 on.')
    .waitFor();
  await turn.getByText('asked claude-opus-5-5, answered by scripted-1 as fallback').waitFor();
  await looksWell(page, 'transcript');
  expect(faults).toEqual([]);
});

test('what a command prints is followed while it runs, and is gone with it', async () => {
  const plan = planOf(['backend']);
  await store.createRun(plan);
  await moveRun(store, plan.runId, 'running');
  const { page, faults } = await openPage(browser, server.url, `/#/runs/${plan.runId}/transcript`);
  await page.getByText('No conversation has ended yet.').waitFor();
  const fence = { lockKey: `${ownRedis.prefix}:lock`, token: 'mine', generation: 0 };
  const place = { redis, prefix: ownRedis.prefix, runId: plan.runId, conversation: 'one', fence };
  await redis.set(fence.lockKey, fence.token);
  const startedAt = new Date().toISOString();
  const put = (text: string): Promise<boolean> =>
    putLiveCommand(place, {
      phase: 'backend',
      persona: 'coder',
      kind: 'work',
      round: 0,
      simulated: true,
      replayed: true,
      toolUseId: 'toolu_1',
      tool: 'shell',
      command: 'npm test -- <b>all</b>',
      startedAt,
      bytes: text.length,
      text: text.slice(-1_000),
      end: text.length,
    });
  await put('');
  const command = page.getByRole('article', { name: 'backend: shell under way' });
  await command.getByText('npm test -- <b>all</b>').waitFor();
  await command.getByRole('heading', { name: 'backend: coder runs replayed simulated' }).waitFor();
  await command.getByText('Nothing has been printed.').waitFor();
  await put('ok 1 <img src=x onerror=alert(1)>\n');
  const output = command.getByRole('region', { name: 'What it has printed' });
  await output.getByText('ok 1 <img src=x onerror=alert(1)>').waitFor();
  const lines = Array.from({ length: 100 }, (_, index) => `ok ${index + 1} - a link is shortened, and counted`);
  await put(`${lines.join('\n')}\n`);
  await command.getByText('of which the end is shown').waitFor();
  // The end is what is seen.
  const box = 'document.querySelector(".call-result")';
  await expect
    .poll(() =>
      page.evaluate(
        `(({ scrollTop, clientHeight, scrollHeight }) => scrollTop + clientHeight >= scrollHeight - 4)(${box})`,
      ),
    )
    .toBe(true);
  await looksWell(page, 'command-under-way');
  await dropLiveCommand(place);
  await command.waitFor({ state: 'detached' });
  expect(faults).toEqual([]);
});
