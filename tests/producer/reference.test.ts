import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { afterAll, expect, it } from 'vitest';
import { z } from 'zod';
import { launchBrowser, openPage, shoot } from '../support/browser.ts';
import { apiFixture, operationsOf } from './api-support.ts';

const { url } = await apiFixture();
const browser = await launchBrowser();
afterAll(() => browser.close());

it('shows every operation with its scope, loads nothing from elsewhere and is readable for all', async () => {
  const { page, faults } = await openPage(browser, url, '/docs');
  for (const { operationId, path, method } of await operationsOf(url)) {
    const heading = page.locator(`section[id="${operationId}"] h3`);
    expect(await heading.innerText()).toContain(path);
    expect((await heading.locator('.m').innerText()).toUpperCase()).toBe(method);
  }
  expect(await page.locator('section#approvePhase .scope').innerText()).toBe('scope approve:ROLE');
  await page.evaluate(await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
  const found = await page.evaluate<unknown>('axe.run()');
  const { violations } = z.looseObject({ violations: z.array(z.looseObject({ id: z.string() })) }).parse(found);
  expect(violations.map(({ id }) => id)).toEqual([]);
  await shoot(page, 'size-reference');
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.goto(`${url}/docs#listRuns`);
  await shoot(page, 'size-reference-dark');
  await page.setViewportSize({ width: 360, height: 800 });
  expect(await page.evaluate<unknown>('document.documentElement.scrollWidth <= 360')).toBe(true);
  expect(faults).toEqual([]);
}, 60_000);
