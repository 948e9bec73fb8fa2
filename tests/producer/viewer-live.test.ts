import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { startServer } from '../../src/producer/server.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { movePhase, moveRun } from '../../src/shared/transitions.ts';
import { TokenStore } from '../../src/producer/tokens.ts';
import { axeViolations, shootAll } from '../support/browser.ts';
import { noopPlan } from '../support/noop-handlers.ts';
import { startNoopRuns } from '../support/noop-runs.ts';
import { DIAMOND as WORKFLOW, fixtureRoot } from './fixture.ts';
import { openViewer } from './open-viewer.ts';
import { planOf } from './seed-run.ts';

const limited = WORKFLOW.replace('name: diamond', 'name: limited\nbudget: { usd: 5, tokens: 1000 }');
const viewer = await openViewer({
  token: 'a-token-of-sixteen-or-more',
  packageRoot: await fixtureRoot({ diamond: WORKFLOW, limited }),
});
const { store, at } = viewer;
const tokens = new TokenStore(viewer.redis, viewer.prefix);

/** A page of somebody who signs in with a token. */
async function openAs(token: string, path: string): Promise<Page> {
  const page = await viewer
    .browser()
    .newPage({ locale: 'en-US', httpCredentials: { username: 'any', password: token } });
  await page.goto(`${viewer.opened.url}${path}`);
  return page;
}
const asAdmin = (path: string): Promise<Page> => openAs('a-token-of-sixteen-or-more', path);
const focused = (page: Page): Promise<unknown> =>
  page.evaluate('document.activeElement.closest("[data-phase]")?.dataset.phase ?? document.activeElement.textContent');

it('a run appears in the list, is followed by keyboard while it moves, and ends before the eyes', async () => {
  let letGo: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const { add } = await startNoopRuns({ work: (phase) => (phase === 'build' ? held : undefined) }, at);
  const page = await asAdmin('/');
  await page.getByText('No runs yet.').waitFor();
  const plan = noopPlan({ design: [], build: ['design'], check: ['build'] }, { policy: 'backend' });
  await add(plan);
  const link = page.getByRole('link', { name: plan.runId });
  await link.waitFor();
  await link.press('Enter');
  const card = (phase: string) => page.locator(`.card[data-phase="${phase}"]`);
  await expect.poll(() => card('design').innerText(), { timeout: 15_000 }).toContain('passed');
  await expect.poll(() => card('build').innerText(), { timeout: 15_000 }).toContain('running');
  expect(await card('check').innerText()).toContain('waiting');
  const place = await card('check').boundingBox();
  letGo();
  await expect.poll(() => page.locator('.title .pill').first().innerText(), { timeout: 20_000 }).toContain('passed');
  await expect.poll(() => card('check').innerText()).toContain('passed');
  // What moves on does not move about.
  expect((await card('check').boundingBox())?.x).toBe(place?.x);
  expect(await page.getByRole('button', { name: /Cancel|Pause|Resume/ }).count()).toBe(0);
  await page.close();
});

const DIAMOND = { a: [], b: ['a'], c: ['a'], d: ['b', 'c'] };

it('a page goes on by itself after a server that was only starting has refused its stream', async () => {
  const token = 'a-token-of-sixteen-or-more';
  const packageRoot = await fixtureRoot();
  const serve = (port: number) => {
    const { blobs, prefix } = viewer;
    const where = { host: '127.0.0.1', port, redisUrl: at.url, prefix, blobs, packageRoot };
    return startServer({ ...where, token, provider: 'scripted', logger: silentLogger() });
  };
  const first = await serve(0);
  const port = Number(new URL(first.url).port);
  const plan = noopPlan(DIAMOND);
  await store.createRun(plan);
  await moveRun(store, plan.runId, 'running');
  const page = await viewer.browser().newPage({ httpCredentials: { username: 'any', password: token } });
  await page.goto(`${first.url}/#/runs/${plan.runId}`);
  const card = page.locator('.card[data-phase="a"]');
  await expect.poll(() => card.innerText(), { timeout: 15_000 }).toContain('waiting');
  await first.close();
  let refused = 0;
  const starting = createServer((req, res) => {
    if (req.url?.includes('/events') === true) refused += 1;
    res.writeHead(503).end();
  }).listen(port, '127.0.0.1');
  await once(starting, 'listening');
  await expect.poll(() => refused, { timeout: 15_000 }).toBeGreaterThan(0);
  starting.close();
  starting.closeAllConnections();
  await once(starting, 'close');
  const second = await serve(port);
  await movePhase(store, plan.runId, 'a', 'running');
  await expect.poll(() => card.innerText(), { timeout: 15_000 }).toContain('running');
  await page.close();
  await second.close();
});

it('the graph is walked by arrow keys, zoomed, and left for what is known of a phase', async () => {
  const plan = noopPlan(DIAMOND);
  await store.createRun(plan);
  const page = await asAdmin(`/#/runs/${plan.runId}`);
  await page.locator('.card[data-phase="a"] .face').focus();
  for (const [key, phase] of [
    ['ArrowRight', 'b'],
    ['ArrowDown', 'c'],
    ['ArrowRight', 'd'],
    ['ArrowLeft', 'b'],
  ] as const) {
    await page.keyboard.press(key);
    expect([key, await focused(page)]).toEqual([key, phase]);
  }
  // Of all cards one is in the order of the tab key.
  expect(await page.locator('.card > .face[tabindex="0"]').count()).toBe(1);
  const width = async (): Promise<number> => (await page.locator('.card[data-phase="a"]').boundingBox())?.width ?? 0;
  const before = await width();
  await page.keyboard.press('-');
  await expect.poll(width).toBeLessThan(before);
  await page.keyboard.press('Enter');
  await page.locator('section[data-panel="b"]').waitFor();
  await expect.poll(() => focused(page)).toBe('b');
  expect(new URL(page.url()).hash).toBe(`#/runs/${plan.runId}/overview/b`);
  await page.goBack();
  await page.locator('section[data-panel="b"]').waitFor({ state: 'detached' });
  await page.close();
});

it('a question of whether one is sure is left by the escape key, and nothing happens', async () => {
  const plan = noopPlan(DIAMOND);
  await store.createRun(plan);
  await moveRun(store, plan.runId, 'running');
  const page = await asAdmin(`/#/runs/${plan.runId}`);
  await page.getByRole('button', { name: 'Cancel run' }).press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Cancel this run?' });
  await dialog.waitFor();
  expect(await axeViolations(page)).toEqual([]);
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  expect((await store.getRun(plan.runId)).status).toBe('running');
  expect(await focused(page)).toBe('Cancel run');
  await page.close();
});

it('whoever may only read is told so before trying, and by the service when trying all the same', async () => {
  const plan = planOf(['requirements']);
  await store.createRun(plan);
  await moveRun(store, plan.runId, 'running');
  await movePhase(store, plan.runId, 'requirements', 'running');
  await movePhase(store, plan.runId, 'requirements', 'awaiting_approval');
  const { token } = await tokens.create({ name: 'looker', scopes: ['read'], expiresAt: null, createdBy: 'tests' });
  const page = await openAs(token, `/#/runs/${plan.runId}`);
  const cancel = page.getByRole('button', { name: 'Cancel run' });
  await expect.poll(() => cancel.getAttribute('aria-disabled')).toBe('true');
  expect(await cancel.getAttribute('title')).toContain('Your token "looker" may not do this: it needs the scope `run`');
  await cancel.press('Enter');
  expect(await page.getByRole('dialog').count()).toBe(0);
  const form = page.getByRole('form', { name: 'Decision on requirements' });
  expect(await form.getByRole('button', { name: 'Approve' }).isDisabled()).toBe(true);
  expect(await form.innerText()).toContain('it needs a scope such as `approve:tech_lead`, and has read');
  expect(await axeViolations(page)).toEqual([]);
  await shootAll(page, 'reader');
  await page.goto(`${viewer.opened.url}/`);
  const start = page.getByRole('button', { name: 'Start a run' });
  expect(await start.getAttribute('title')).toContain('it needs the scope `run`, and has read');
  await page.goto(`${viewer.opened.url}/#/runs/new/diamond`);
  await page.getByText('it needs the scope `run`, and has read').waitFor();
  expect(await page.getByLabel('requirement').isDisabled()).toBe(true);
  expect(await page.getByRole('button', { name: 'Start run' }).isDisabled()).toBe(true);
  expect(await axeViolations(page)).toEqual([]);
  await shootAll(page, 'reader-start');
  await page.close();
});

it('a decision in a role that the token does not have is refused in words, and the form stays', async () => {
  const plan = planOf(['requirements']);
  await store.createRun(plan);
  await moveRun(store, plan.runId, 'running');
  await movePhase(store, plan.runId, 'requirements', 'running');
  await movePhase(store, plan.runId, 'requirements', 'awaiting_approval');
  const scopes = ['read', 'approve:tech_lead'];
  const { token } = await tokens.create({ name: 'lead', scopes, expiresAt: null, createdBy: 'tests' });
  const page = await openAs(token, `/#/runs/${plan.runId}`);
  await page.getByLabel('Role').fill('stakeholder');
  await page.getByLabel('Your name').fill('Ada');
  await page.getByRole('button', { name: 'Approve' }).click();
  await expect.poll(() => page.locator('#notice').innerText()).toContain('Your token does not allow this');
  expect(await store.getApprovals(plan.runId)).toEqual([]);
  await page.getByLabel('Role').fill('tech_lead');
  await page.getByRole('button', { name: 'Approve' }).click();
  await expect.poll(async () => (await store.getApprovals(plan.runId)).length).toBe(1);
  await page.close();
});

it('a run that is started with more than a token may spend is refused beside the field, and nothing is lost', async () => {
  const scopes = ['read', 'run'];
  const { token } = await tokens.create({ name: 'starter', scopes, expiresAt: null, createdBy: 'tests' });
  const page = await openAs(token, '/#/runs/new/limited');
  await page.getByLabel('requirement').fill('shorten my urls please');
  await page.getByText('Limits, time and version').click();
  const budget = page.getByLabel('Budget in US dollars');
  await budget.fill('6');
  await page.getByRole('button', { name: 'Start run' }).click();
  const field = page.locator('.field', { has: budget });
  await field.getByText('Is limited to 5 for this token.').waitFor();
  await shootAll(page, 'start-limited');
  await budget.fill('4');
  await page.getByLabel('Version of the workflow').fill(`sha256:${'0'.repeat(64)}`);
  await page.getByRole('button', { name: 'Start run' }).click();
  await page.getByRole('alert').getByText('the workflow "limited" is sha256:').waitFor();
  await page.getByLabel('Version of the workflow').fill('');
  await page.getByRole('button', { name: 'Start run' }).click();
  await page.getByRole('heading', { level: 1, name: 'limited' }).waitFor();
  const [run] = (await store.listRuns({ limit: 5, workflow: 'limited' })).runs;
  expect(run === undefined ? run : (await store.getPlan(run.runId)).budget).toEqual({ usd: 4, tokens: 1000 });
  await page.goto(`${viewer.opened.url}/#/runs/new/limted`);
  await page.getByText('There is no workflow "limted" here.').waitFor();
  expect(await axeViolations(page)).toEqual([]);
  await page.close();
});

it('1,000 phases are drawn when that is asked for, and the page answers meanwhile', { timeout: 60_000 }, async () => {
  const names = Array.from({ length: 1_000 }, (_, index) => `phase-${index}`);
  const needs = (index: number): string[] => (index < 10 ? [] : [`phase-${index - 10}`, `phase-${index - 7}`]);
  const plan = noopPlan(Object.fromEntries(names.map((name, index) => [name, needs(index)])));
  await store.createRun(plan);
  const page = await asAdmin(`/#/runs/${plan.runId}`);
  await page.getByRole('button', { name: 'Draw it anyway' }).click();
  await page.getByText('Loading the graph').waitFor();
  await page.getByLabel('Phase or reason').fill('phase-999');
  await expect.poll(() => page.locator('tbody tr').count()).toBe(1);
  // The answer came while the graph was still being laid out.
  expect(await page.getByText('Loading the graph').count()).toBe(1);
  await expect.poll(() => page.locator('.card').count(), { timeout: 40_000 }).toBe(1_000);
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(1_280);
  await shootAll(page, 'size-1000-drawn');
  await page.close();
});

it('the list is filtered by what runs are, keeps that in its address, and says when nothing is like it', async () => {
  const [one, other] = [planOf(['requirements']), noopPlan(DIAMOND)];
  for (const plan of [one, other]) await store.createRun(plan);
  const page = await asAdmin('/');
  const link = (id: string) => page.getByRole('link', { name: id });
  await link(other.runId).waitFor();
  await page.getByLabel('Persona').selectOption('coder');
  await link(other.runId).waitFor({ state: 'detached' });
  await link(one.runId).waitFor();
  expect(page.url()).toContain('persona=coder');
  await page.reload();
  await link(one.runId).waitFor();
  expect(await link(other.runId).count()).toBe(0);
  await page.getByLabel('From').fill('2999-01-01');
  await page.getByText('No run is like this.').waitFor();
  await page.getByRole('button', { name: 'Clear' }).click();
  await link(other.runId).waitFor();
  await page.getByLabel('Text').fill(other.runId.toLowerCase());
  await link(one.runId).waitFor({ state: 'detached' });
  expect(await link(other.runId).count()).toBe(1);
  await page.setViewportSize({ width: 360, height: 800 });
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
  await shootAll(page, 'filtered');
  await page.close();
});

it('a run that could not be fetched when its page was opened is asked for again', async () => {
  const plan = noopPlan(DIAMOND);
  await store.createRun(plan);
  const page = await asAdmin('/');
  let isDown = true;
  await page.route(`**/api/runs/${plan.runId}`, (route) => (isDown ? route.abort() : route.continue()));
  await page.goto(new URL(`/#/runs/${plan.runId}`, page.url()).href);
  await page.getByText('The service does not answer').first().waitFor();
  isDown = false;
  await expect.poll(() => page.locator('.card').count(), { timeout: 20_000 }).toBe(4);
  await page.close();
});
