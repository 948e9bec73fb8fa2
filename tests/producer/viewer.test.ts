import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { type RunningServer, startServer } from '../../src/producer/server.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { movePhase, moveRun } from '../../src/shared/transitions.ts';
import { type OpenPage, axeViolations, launchBrowser, openPage, shoot } from '../support/browser.ts';
import { testRedis } from '../support/test-redis.ts';
import { fixtureRoot } from './fixture.ts';
import { finishRun, planOf, recordRound } from './seed-run.ts';

const ownRedis = testRedis();
const { url: redisUrl, prefix } = ownRedis;
const redis = await ownRedis.connect();
const store = new RunStore(redis, prefix);
const blobFolder = await mkdtemp(join(tmpdir(), 'maestro-blobs-'));
const PHASES = ['requirements', 'design', 'backend'];
let server: RunningServer;
let browser: Browser;

beforeAll(async () => {
  server = await startServer({
    host: '127.0.0.1',
    port: 0,
    redisUrl,
    prefix,
    blobs: openBlobStore(blobFolder),
    packageRoot: await fixtureRoot(),
    provider: 'scripted',
    logger: silentLogger(),
  });
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser.close();
  await server.close();
  await rm(blobFolder, { recursive: true, force: true });
});

const open = (path: string): Promise<OpenPage> => openPage(browser, server.url, path);

describe('the run viewer', () => {
  it('lists runs and leads to one, by keyboard alone', async () => {
    const plan = planOf(PHASES);
    await store.createRun(plan);
    await finishRun(store, plan.runId, PHASES);
    const { page, faults } = await open('/');
    const link = page.getByRole('link', { name: plan.runId });
    await link.focus();
    await shoot(page, 'list');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'diamond' }).waitFor();
    expect(await page.locator('main').innerText()).toContain('Simulated. No real model had a part in this run');
    expect(faults).toEqual([]);
    await page.close();
  });

  it('moves with the run, shows a blocked gate, and shows what models wrote as text', async () => {
    const plan = planOf(PHASES);
    await store.createRun(plan);
    const { page, faults } = await open(`/#/runs/${plan.runId}`);
    const title = page.locator('.title .pill').first();
    await expect.poll(() => title.innerText()).toContain('queued');
    await moveRun(store, plan.runId, 'running');
    await movePhase(store, plan.runId, 'requirements', 'running');
    await expect.poll(() => title.innerText()).toContain('running');
    await recordRound(store, plan.runId, 'requirements', 0, 'blocked');
    await movePhase(store, plan.runId, 'requirements', 'blocked', {
      reason: 'tests_passing <img src=x onerror=alert(1)>',
    });
    await moveRun(store, plan.runId, 'blocked');
    await expect.poll(() => title.innerText()).toContain('blocked');
    expect(await page.locator('main').innerText()).toContain('<script>alert(1)</script> shorten');
    await page.getByRole('navigation', { name: 'Run' }).getByRole('link', { name: 'Gates' }).click();
    const gates = page.locator('details[data-key="gates-requirements"]');
    await expect.poll(() => gates.innerText()).toContain('test_pass_rate = 0.5');
    expect(await gates.innerText()).toContain('test_pass_rate <b>was</b> measured');
    expect(await page.locator('main img, main script, main b').count()).toBe(0);
    expect(await page.locator('main').innerText()).not.toMatch(/^(false|null|undefined)$/m);
    await shoot(page, 'blocked');
    expect(faults).toEqual([]);
    await page.close();
  });

  it('records a decision and cancels a run', async () => {
    const plan = planOf(PHASES);
    await store.createRun(plan);
    await moveRun(store, plan.runId, 'running');
    await movePhase(store, plan.runId, 'requirements', 'running');
    await movePhase(store, plan.runId, 'requirements', 'awaiting_approval');
    const { page, faults } = await open(`/#/runs/${plan.runId}`);
    await page.getByLabel('Role').fill('stakeholder');
    await page.getByLabel('Your name').fill('Ada');
    await page.getByRole('button', { name: 'Approve' }).click();
    await expect.poll(async () => (await store.getApprovals(plan.runId)).length).toBe(1);
    expect(await store.getApprovals(plan.runId)).toMatchObject([
      { role: 'stakeholder', by: 'Ada', decision: 'approved' },
    ]);
    await page.getByRole('button', { name: 'Cancel run' }).click();
    await page.getByLabel('Reason').fill('no longer needed');
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel run' }).click();
    await expect.poll(async () => (await store.getRun(plan.runId)).status).toBe('cancelled');
    expect((await store.getRun(plan.runId)).reason).toContain('no longer needed');
    expect(faults).toEqual([]);
    await page.close();
  });

  it('leads to Bull Board and from a job there back to its run', async () => {
    const plan = planOf(PHASES);
    await enqueueRun({ redis, prefix, store }, plan);
    const { page } = await open('/');
    await page.getByRole('link', { name: 'Queues' }).click();
    await page.getByText('persona.coder').or(page.getByText('coder')).first().waitFor();
    await page.goto(`${server.url}/queues/queue/persona.coder?status=waiting`);
    await page.getByText('requirements: coder [simulated]').first().waitFor();
    await shoot(page, 'board');
    // The board opens links of its own in a new tab.
    const tab = page.waitForEvent('popup');
    await page.locator(`a[href$="${plan.runId}/overview/requirements"]`).first().click();
    const runTab = await tab;
    const panel = runTab.locator('section[data-panel="requirements"]');
    await panel.waitFor();
    expect(runTab.url()).toBe(`${server.url}/#/runs/${plan.runId}/overview/requirements`);
    // And back: the phase names its jobs, each with its page on the board.
    const job = panel.getByRole('link', { name: 'requirements: coder' });
    await job.click();
    await expect.poll(() => new URL(runTab.url()).pathname).toContain(`/queues/queue/persona.coder/${plan.runId}`);
    await runTab.getByText('requirements: coder [simulated]').first().waitFor();
    await shoot(runTab, 'board-job');
    await runTab.close();
    await page.close();
  });

  it.each(['light', 'dark'] as const)('has no fault that axe finds, %s', async (colorScheme) => {
    const plan = planOf(PHASES);
    await store.createRun(plan);
    await recordRound(store, plan.runId, 'requirements', 0, 'blocked');
    await recordRound(store, plan.runId, 'requirements', 1, 'passed');
    await movePhase(store, plan.runId, 'requirements', 'running');
    await movePhase(store, plan.runId, 'requirements', 'passed');
    await movePhase(store, plan.runId, 'design', 'running');
    await movePhase(store, plan.runId, 'design', 'awaiting_approval');
    const { page } = await open('/');
    await page.emulateMedia({ colorScheme });
    await page.getByRole('link', { name: plan.runId }).waitFor();
    expect(await axeViolations(page)).toEqual([]);
    await page.goto(`${server.url}/#/runs/${plan.runId}`);
    await page.getByRole('heading', { level: 1, name: 'diamond' }).waitFor();
    await page.locator('.card').first().waitFor();
    for (const tab of await page.getByRole('navigation', { name: 'Run' }).getByRole('link').all()) {
      await tab.click();
      await expect.poll(() => tab.getAttribute('aria-current')).toBe('page');
      await page.locator('.loading').waitFor({ state: 'detached' });
      expect(await axeViolations(page)).toEqual([]);
      await shoot(page, `${colorScheme}-${await tab.innerText()}`);
    }
    await page.close();
  });
});
