import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resumeRun } from '../../src/producer/resume.ts';
import { type RunningServer, startServer } from '../../src/producer/server.ts';
import { archiveRun } from '../../src/shared/archive-run.ts';
import { RunArchive } from '../../src/shared/archive.ts';
import { putJson } from '../../src/shared/blob-store.ts';
import { ConcurrencyGroups } from '../../src/shared/groups.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import type { PhaseStatus, PlannedPhase, RunPlan } from '../../src/shared/run-record.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { movePhase, moveRun } from '../../src/shared/transitions.ts';
import { type OpenPage, axeViolations, launchBrowser, openPage, shootAll } from '../support/browser.ts';
import { noopPlan } from '../support/noop-handlers.ts';
import { startNoopRuns } from '../support/noop-runs.ts';
import { testRedis } from '../support/test-redis.ts';
import { fixtureRoot } from './fixture.ts';
import { planOf, recordRound, verdictOf } from './seed-run.ts';

const ownRedis = testRedis();
const { url: redisUrl, prefix } = ownRedis;
const redis = await ownRedis.connect();
const blobFolder = await mkdtemp(join(tmpdir(), 'maestro-blobs-'));
const blobs = openBlobStore(blobFolder);
const store = new RunStore(redis, prefix, new RunArchive(redis, prefix, blobs));
let server: RunningServer;
let browser: Browser;

beforeAll(async () => {
  server = await startServer({
    host: '127.0.0.1',
    port: 0,
    redisUrl,
    prefix,
    blobs,
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

const open = (plan: RunPlan, tab = ''): Promise<OpenPage> =>
  openPage(browser, server.url, `/#/runs/${plan.runId}${tab}`);
/** Does what a button says, and says yes when it asks. */
async function press(page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name }).press('Enter');
  await page.getByRole('dialog').locator('button:not([type])').press('Enter');
}
const panel = (phase: string): string => `section[data-panel="${phase}"]`;
const gates = (phase: string): string => `details[data-key="gates-${phase}"]`;

async function seed(plan: RunPlan, statuses: Record<string, [PhaseStatus, string?]>): Promise<void> {
  await store.createRun(plan);
  await moveRun(store, plan.runId, 'running');
  for (const [phase, [status, reason = '']] of Object.entries(statuses)) {
    if (status !== 'skipped' && status !== 'not_started') await movePhase(store, plan.runId, phase, 'running');
    if (status !== 'running') await movePhase(store, plan.runId, phase, status, { reason });
  }
}

const SKIPPED = '`if: inputs.audit || phases.design.metrics.clarity_score < 0.9` does not hold';
const ITEMS = ['auth', 'orders', 'billing', 'search', 'mail'];

/** A run in which a phase was skipped, one is repeated, some belong to a sub-workflow, and one waits for its group. */
function plannedWithEverything(): RunPlan {
  const needs: Record<string, string[]> = { design: [], audit: ['design'] };
  for (const item of ITEMS) needs[`build--${item}`] = ['audit'];
  Object.assign(needs, {
    build: ['audit'],
    'payments--api': ['design'],
    'payments--ledger': ['payments--api'],
    deploy: ['build', 'payments--ledger'],
    notes: ['design'],
  });
  const extra: Record<string, Partial<PlannedPhase>> = {
    audit: { conditions: [{ text: 'inputs.audit || phases.design.metrics.clarity_score < 0.9', prefix: '' }] },
    build: { repeat: { lists: { item: 'phases.design.outputs.services' }, isMatrix: false, parallel: 3 } },
    deploy: { conditions: [{ text: 'phases.build.status == "passed"', prefix: '' }] },
    notes: { concurrency: { group: 'documents', limit: 1 } },
  };
  return noopPlan(
    needs,
    { policy: 'backend', rework: 2 },
    {
      phase: (name) => ({
        ...(name.startsWith('build--') ? { instance: { of: 'build', item: name.slice('build--'.length) } } : {}),
        ...(name.startsWith('payments--') ? { prefix: 'payments--' } : {}),
        ...extra[name],
      }),
    },
  );
}

async function seedEverything(): Promise<RunPlan> {
  const plan = plannedWithEverything();
  await seed(plan, {
    design: ['passed'],
    audit: ['skipped', SKIPPED],
    build: ['running'],
    'build--auth': ['passed'],
    'build--orders': ['running'],
    'build--billing': ['blocked', 'test_pass_rate is 0.5, required >= 0.95'],
    'build--search': ['running'],
    'payments--api': ['running'],
  });
  await recordRound(store, plan.runId, 'payments--api', 0, 'blocked');
  await store.updatePhase(plan.runId, 'payments--api', (record) => ({
    next: { ...record, round: 1, faults: 2 },
    events: [],
  }));
  const groups = new ConcurrencyGroups(redis, prefix);
  const group = (holder: string) => ({ holder, limit: 1, job: { queue: 'persona.noop', jobId: holder } });
  await groups.take('documents', group('01M0000000000000000000000A.g0/notes'));
  await groups.take('documents', group('01M0000000000000000000000B.g0/notes'));
  await groups.take('documents', group(`${plan.runId}.g0/notes`));
  return plan;
}

describe('the run viewer shows', () => {
  it('why a phase was skipped, and a phase that waits for a place in its group', async () => {
    const plan = await seedEverything();
    const { page, faults } = await open(plan);
    const card = page.locator('.card[data-phase="audit"]');
    await card.waitFor();
    expect(await card.innerText()).toContain(SKIPPED);
    await card.locator('button').press('Enter');
    await expect.poll(() => page.locator(panel('audit')).innerText()).toContain('Only if');
    expect(await page.locator(panel('audit')).innerText()).toContain(SKIPPED);
    const row = page.getByRole('row').filter({ hasText: 'notes' });
    expect(await row.innerText()).toContain('Waits for a place in group documents (1 at a time)');
    expect(await row.innerText()).toContain('Held by run 01M0000000000000000000000A (notes). 1 before it.');
    expect(await page.locator('.card[data-phase="notes"]').innerText()).toContain('waits for a place');
    expect(await page.locator('.card[data-phase="payments--api"]').innerText()).toContain('rework 1 · 2 faults');
    await shootAll(page, 'everything');
    expect(faults).toEqual([]);
    await page.close();
  });

  it('the instances of a repeated phase when their group is opened, by keyboard, and keeps them open', async () => {
    const plan = await seedEverything();
    const { page, faults } = await open(plan);
    const toggle = page.locator('.card[data-phase="build"] .toggle');
    await toggle.waitFor();
    expect(await toggle.innerText()).toContain('5 instances: 1 blocked, 2 running, 1 waiting, 1 passed');
    expect(await page.getByRole('row').filter({ hasText: 'orders' }).count()).toBe(0);
    expect(await toggle.getAttribute('aria-expanded')).toBe('false');
    await toggle.press('Enter');
    await page.locator('.card[data-phase="build"] li').first().waitFor();
    expect(await page.locator('.card[data-phase="build"] li').allInnerTexts()).toHaveLength(5);
    expect(await page.evaluate('document.activeElement.getAttribute("aria-expanded")')).toBe('true');
    await movePhase(store, plan.runId, 'build--orders', 'passed');
    await expect.poll(() => page.getByRole('row').filter({ hasText: 'orders' }).innerText()).toContain('passed');
    expect(await page.locator('.card[data-phase="build"] li').nth(1).innerText()).toContain('passed');
    await page
      .getByRole('button', { name: /^Close payments/ })
      .first()
      .click();
    expect(await page.locator('.card[data-phase="payments"]').innerText()).toContain('sub-workflow, 2 phases');
    await shootAll(page, 'instances');
    expect(await axeViolations(page)).toEqual([]);
    await page.setViewportSize({ width: 390, height: 800 });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390);
    expect(await axeViolations(page)).toEqual([]);
    expect(faults).toEqual([]);
    await page.close();
  });

  it('contracts of personas, and checks of integrity when they are asked for', async () => {
    const plan = planOf(['backend']);
    await store.createRun(plan);
    await moveRun(store, plan.runId, 'running');
    await movePhase(store, plan.runId, 'backend', 'running');
    const evidence = await putJson(blobs, {
      schemaVersion: 1,
      runId: plan.runId,
      phase: 'backend',
      round: 0,
      commit: 'c'.repeat(40),
      tree: 'd'.repeat(40),
      sandbox: 'bwrap',
      measurements: [
        {
          status: 'measured',
          metric: 'test_pass_rate',
          collector: 'tests',
          collectorVersion: '1.0.0',
          value: 1,
          examined: 12,
          source: 'collector',
          simulated: false,
          evidence: [{ kind: 'command', summary: '12 of 12 tests passed', command: 'node --test', exitCode: 0 }],
        },
      ],
      findings: [],
      artifacts: [],
      reports: [],
      reviews: [],
      approvals: [],
      integrity: [
        {
          check: 'handed_down_tests',
          outcome: 'violated',
          examined: 3,
          message: 'tests/a.test.js was weakened: 2 of 5 assertions are gone',
          evidence: [],
        },
        {
          check: 'tests_mean_something',
          outcome: 'held',
          examined: 12,
          message: '12 tests fail without the work',
          evidence: [],
        },
      ],
      claims: [
        {
          persona: 'coder',
          claim: 'all tests pass',
          measured: 'test_pass_rate = 1',
          contradicted: false,
          blocks: false,
        },
      ],
    });
    const verdict = {
      ...verdictOf('backend', 'blocked'),
      contracts: [
        {
          persona: 'coder',
          kind: 'deliverable' as const,
          name: 'code',
          metric: null,
          required: 'src/**',
          severity: 'BLOCKING' as const,
          outcome: 'failed' as const,
          value: 0,
          source: 'collector' as const,
          simulated: false,
          message: 'no file matches src/**',
        },
      ],
    };
    await store.updatePhase(plan.runId, 'backend', (record) => ({
      next: { ...record, rounds: [{ round: 0, verdict, findings: 2, evidence, at: new Date().toISOString() }] },
      events: [],
    }));
    await movePhase(store, plan.runId, 'backend', 'blocked', { reason: 'contract of coder: no file matches src/**' });
    await moveRun(store, plan.runId, 'blocked');
    const { page, faults } = await open(plan, '/gates');
    const contracts = page.getByRole('region', { name: 'Contracts of backend, round 1' });
    await contracts.waitFor();
    await page.getByRole('link', { name: 'Evidence of round 1' }).click();
    expect(await contracts.innerText()).toContain('deliverable of coder');
    const integrity = page.getByRole('region', { name: 'Integrity of backend, round 1' });
    await integrity.waitFor();
    expect(await integrity.innerText()).toContain('2 of 5 assertions are gone');
    expect(await page.getByRole('region', { name: 'Measurements of backend' }).innerText()).toContain('node --test');
    await shootAll(page, 'contracts');
    expect(await axeViolations(page)).toEqual([]);
    expect(faults).toEqual([]);
    await page.close();
  });

  it('which rounds belong to which taking-up of a run', async () => {
    const plan = planOf(['requirements', 'design']);
    await store.createRun(plan);
    await moveRun(store, plan.runId, 'running');
    await movePhase(store, plan.runId, 'requirements', 'running');
    await recordRound(store, plan.runId, 'requirements', 0, 'blocked');
    await movePhase(store, plan.runId, 'requirements', 'blocked', { reason: 'tests_passing: 0.5' });
    await movePhase(store, plan.runId, 'design', 'not_started', { reason: 'requirements is blocked' });
    await moveRun(store, plan.runId, 'blocked', { reason: 'requirements is blocked' });
    await resumeRun({ redis, prefix, store }, plan.runId, { reason: 'the tool is back' });
    await recordRound(store, plan.runId, 'requirements', 1, 'passed');
    const { page, faults } = await open(plan, '/activity');
    const taken = page.getByRole('region', { name: 'Taken up' });
    await taken.waitFor();
    expect(await taken.getByRole('row').nth(1).innerText()).toContain('requirements is blocked');
    expect(await taken.getByRole('row').nth(2).innerText()).toContain('the tool is back');
    await page.getByRole('navigation', { name: 'Run' }).getByRole('link', { name: 'Overview' }).click();
    await page.locator('.card[data-phase="requirements"] button').click();
    await page.getByRole('link', { name: 'Gates of requirements' }).click();
    const rounds = page.locator(`${gates('requirements')} details.round > summary`);
    await expect.poll(() => rounds.count()).toBe(2);
    expect(await rounds.nth(0).innerText()).toMatch(/Round 2.*taking-up 2/s);
    expect(await rounds.nth(1).innerText()).toMatch(/Round 1.*taking-up 1/s);
    await shootAll(page, 'resumed');
    expect(faults).toEqual([]);
    await page.close();
  });

  it('an archived run to read, and nothing to change it with', async () => {
    const plan = planOf(['requirements']);
    await store.createRun(plan);
    await moveRun(store, plan.runId, 'running');
    await movePhase(store, plan.runId, 'requirements', 'running');
    await movePhase(store, plan.runId, 'requirements', 'blocked', { reason: 'tests_passing: 0.5' });
    await moveRun(store, plan.runId, 'blocked');
    expect(await archiveRun(store, plan.runId)).toBe(true);
    const { page, faults } = await open(plan);
    await page.getByText('This run has left Redis').waitFor();
    expect(await page.getByRole('button', { name: /Resume|Retry|Cancel|Pause|again/ }).count()).toBe(0);
    await shootAll(page, 'archived');
    expect(faults).toEqual([]);
    await page.close();
  });

  it('when a run is to start that waits for its time', async () => {
    const plan = planOf(['requirements'], { startAt: new Date(Date.now() + 7_500_000).toISOString() });
    await store.createRun(plan);
    const { page, faults } = await open(plan);
    await page.getByText('Waits for its time.').waitFor();
    expect(await page.locator('main').innerText()).toMatch(/in 2 h [45] min/);
    await shootAll(page, 'delayed');
    expect(faults).toEqual([]);
    await page.close();
  });

  it.each([60, 1_000])('a run of %i phases, with one of them found by its name', { timeout: 60_000 }, async (size) => {
    const names = Array.from({ length: size }, (_, index) => `phase-${index}`);
    const shape = Object.fromEntries(
      names.map((name, index) => [
        name,
        [1, 7, 13]
          .filter((back) => index >= 8 && index % back !== 3 % back && back <= index)
          .map((back) => `phase-${index - Math.max(back, 6)}`),
      ]),
    );
    const plan = noopPlan(
      Object.fromEntries(Object.entries(shape).map(([name, needs]) => [name, [...new Set(needs)]])),
    );
    await seed(
      plan,
      Object.fromEntries(
        names.slice(0, Math.floor(size / 3)).map((name) => [name, ['not_gated']] satisfies [string, [PhaseStatus]]),
      ),
    );
    const { page, faults } = await open(plan);
    await page.getByRole('region', { name: 'Phases', exact: true }).waitFor();
    expect(await page.getByText('too many to be read').count()).toBe(size > 60 ? 1 : 0);
    await expect.poll(() => page.locator('.card').count()).toBe(size === 60 ? 60 : 0);
    await page.getByLabel('Phase or reason').pressSequentially(`phase-${size - 1}`);
    const rows = page.locator('tbody tr');
    await expect.poll(() => rows.count()).toBe(1);
    expect(await rows.innerText()).toContain(`phase-${size - 1}`);
    await page.getByLabel('Phase or reason').fill('');
    await expect.poll(() => rows.count()).toBe(Math.min(size, 100));
    await shootAll(page, `size-${size}`);
    expect(faults).toEqual([]);
    await page.close();
  });
});

it('a run that goes on is paused, resumed and retried by its buttons', { timeout: 60_000 }, async () => {
  let letGo: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  let says: PhaseStatus = 'blocked';
  const { add } = await startNoopRuns(
    { work: (phase) => (phase === 'a' ? held : undefined), verdictOf: (_, phase) => (phase === 'b' ? says : 'passed') },
    ownRedis,
  );
  const plan = noopPlan({ a: [], b: ['a'], c: ['b'] });
  await add(plan);
  const { page, faults } = await open(plan);
  const title = page.locator('.title .pill').first();
  await expect.poll(() => title.innerText()).toContain('running');
  await press(page, 'Pause');
  await expect.poll(() => title.innerText()).toContain('paused');
  await shootAll(page, 'paused');
  letGo();
  await press(page, 'Resume');
  await expect.poll(() => title.innerText(), { timeout: 15_000 }).toContain('blocked');
  expect(await page.locator('.card[data-phase="c"]').innerText()).toContain('not started');
  says = 'passed';
  await press(page, 'Retry b');
  await expect.poll(() => title.innerText(), { timeout: 15_000 }).toContain('passed');
  await expect.poll(() => page.locator('.card[data-phase="c"]').innerText()).toContain('passed');
  await page.getByRole('navigation', { name: 'Run' }).getByRole('link', { name: 'Activity' }).click();
  expect(await page.getByRole('region', { name: 'Taken up' }).innerText()).toContain('retry in the run viewer');
  expect((await store.getRun(plan.runId)).generation).toBe(1);
  expect(faults).toEqual([]);
  await page.close();
});
