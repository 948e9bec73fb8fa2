import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { runKey } from '../../src/shared/run-keys.ts';
import { movePhase } from '../../src/shared/transitions.ts';
import { axeViolations, shootAll } from '../support/browser.ts';
import { openViewer } from './open-viewer.ts';
import { QUESTION, ask, seedRichRun } from './rich-run.ts';

const viewer = await openViewer();
const { store } = viewer;
const TABS = ['Overview', 'Timeline', 'Gates', 'Cost', 'Activity'];

const tab = (page: Page, name: string) =>
  page.getByRole('navigation', { name: 'Run' }).getByRole('link', { name, exact: true });
const loaded = (page: Page): Promise<void> => page.locator('.loading').first().waitFor({ state: 'detached' });

describe('the tabs of a run', () => {
  it.each(['light', 'dark'] as const)('have no fault that axe finds, and fit a phone, %s', async (colorScheme) => {
    const plan = await seedRichRun(viewer);
    const { page, faults } = await viewer.open(`/#/runs/${plan.runId}`);
    await page.emulateMedia({ colorScheme });
    for (const width of [1280, 360]) {
      await page.setViewportSize({ width, height: 800 });
      for (const name of TABS) {
        await tab(page, name).click();
        await expect.poll(() => tab(page, name).getAttribute('aria-current')).toBe('page');
        await loaded(page);
        expect(await axeViolations(page)).toEqual([]);
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
      }
    }
    expect(faults).toEqual([]);
    await page.close();
  });

  it('tell where the time of every persona went: waiting, the model, tools and gates', async () => {
    const plan = await seedRichRun(viewer);
    const { page, faults } = await viewer.open(`/#/runs/${plan.runId}/timeline`);
    const lineOf = (phase: string) =>
      page.locator('.timeline-line').filter({ has: page.getByRole('link', { name: phase, exact: true }) });
    const line = lineOf('backend');
    await line.waitFor();
    const lane = line.getByRole('img', { name: /^backend_developer: / });
    // The log arrives bit by bit.
    await expect
      .poll(() => lane.getAttribute('aria-label'))
      .toBe('backend_developer: Waited for the model 5.0 s, Model 30.0 s, Tools 10.0 s');
    await expect.poll(() => line.getByRole('img', { name: /^gates: Gates/ }).count()).toBe(1);
    expect(await lane.locator('.bar.model').count()).toBe(10);
    const row = page.getByRole('region', { name: 'Time by phase' }).getByRole('row', { name: /^backend/ });
    expect(await row.innerText()).toMatch(/5\.0 s\s+30\.0 s\s+10\.0 s/);
    // Nobody recorded what the frontend was at, so nothing is said of it.
    const unknown = lineOf('frontend');
    expect(await unknown.locator('.bar.model').count()).toBe(0);
    await shootAll(page, 'timeline');
    expect(faults).toEqual([]);
    await page.close();
  });

  it('show what rework changed, gate by gate and round by round, and lead to the evidence of a round', async () => {
    const plan = await seedRichRun(viewer);
    const { page, faults } = await viewer.open(`/#/runs/${plan.runId}/gates/backend`);
    const history = page.getByRole('region', { name: 'Gates of backend over its rounds' });
    const cells = history.getByRole('row', { name: /tests_passing/ }).getByRole('cell');
    await cells.first().waitFor();
    const texts = (await cells.allInnerTexts()).map((text) => text.replaceAll(/\s+/g, ' '));
    expect(texts).toEqual(['test_pass_rate >= 0.95', '✕ failed 0.5', '✕ failed 0.5', '✓ passed 1']);
    await shootAll(page, 'history');
    await history.getByRole('link', { name: 'Evidence of round 2' }).click();
    expect(new URL(page.url()).hash).toBe(`#/runs/${plan.runId}/gates/backend/2`);
    const round = page.locator('details[data-key="round-backend-2"]');
    await expect.poll(() => round.getAttribute('open')).not.toBeNull();
    // The seeded evidence does not exist: that is said, and nothing is made up.
    await expect.poll(() => round.innerText()).toContain('The evidence cannot be read');
    expect(faults.every((fault) => fault.includes('503'))).toBe(true);
    await page.close();
  });

  it('show tokens and cost over time, what they went to, and how much of the budget is left', async () => {
    const plan = await seedRichRun(viewer);
    const { page, faults } = await viewer.open(`/#/runs/${plan.runId}/cost`);
    await page.getByRole('img', { name: /^Cost over time: \$0\.38/ }).waitFor();
    expect(
      await page.getByRole('img', { name: /^Tokens over time: 30,000 of input, 120,000 from the cache/ }).count(),
    ).toBe(1);
    await expect.poll(() => page.locator('.chart canvas').count()).toBe(2);
    const row = page.getByRole('region', { name: 'By phase' }).getByRole('row', { name: /^backend/ });
    expect((await row.innerText()).replaceAll(/\s+/g, ' ')).toContain('10 10,000 40,000 3,000 53,000 $0.13');
    await shootAll(page, 'cost');
    // A run of before there was a ledger: its costs are not nothing, they are not known.
    await viewer.redis.del(runKey(viewer.prefix, plan.runId, 'calls'));
    await page.reload();
    await page.getByText('Its calls are not recorded').waitFor();
    expect(await page.getByText('Repeats that were cached').count()).toBe(0);
    expect(await page.getByRole('region', { name: 'By phase' }).count()).toBe(0);
    expect(faults).toEqual([]);
    await page.close();
  });

  it('put the question of a persona above everything, and carry the answer to it', async () => {
    const plan = await seedRichRun(viewer);
    const { page, faults } = await viewer.open(`/#/runs/${plan.runId}`);
    const form = page.getByRole('form', { name: 'Question of frontend_developer' });
    await form.waitFor();
    expect(await form.innerText()).toContain('Which colour shall the button <b>have</b>?');
    await shootAll(page, 'question');
    await form.getByRole('button', { name: 'green' }).press('Enter');
    await form.getByLabel('Your name').fill('Ada');
    await form.getByRole('button', { name: 'Answer' }).press('Enter');
    await form.waitFor({ state: 'detached' });
    expect(await store.getQuestions(plan.runId)).toMatchObject([
      { id: QUESTION, answer: { by: 'Ada', text: 'green', simulated: false } },
    ]);
    await tab(page, 'Activity').click();
    const table = page.getByRole('region', { name: 'Questions of personas' });
    expect(await table.innerText()).toContain('green');
    await ask(store, plan.runId, { id: 'q_00000000000000ff', question: 'And which font?' });
    await form.waitFor();
    await movePhase(store, plan.runId, 'frontend', 'failed', { reason: 'lost' });
    await form.waitFor({ state: 'detached' });
    await expect.poll(() => table.innerText()).toContain('withdrawn: its phase is failed: lost');
    expect(await page.getByText('question of frontend_developer was withdrawn').count()).toBeGreaterThan(0);
    expect(faults).toEqual([]);
    await page.close();
  });
});
