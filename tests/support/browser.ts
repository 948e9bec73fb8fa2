import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import chromium from '@sparticuz/chromium';
import { type Browser, type Page, chromium as playwright } from 'playwright-core';
import { expect } from 'vitest';
import { z } from 'zod';

export interface OpenPage {
  page: Page;
  /** What went wrong on it: errors, and requests to elsewhere. */
  faults: string[];
}

export const launchBrowser = async (): Promise<Browser> =>
  playwright.launch({
    executablePath: await chromium.executablePath(),
    args: ['--no-sandbox', '--no-zygote', '--disable-gpu'],
    headless: true,
  });

/** Opens a page of a service, and notes everything that goes wrong on it. */
export async function openPage(browser: Browser, url: string, path: string): Promise<OpenPage> {
  const page = await browser.newPage({ locale: 'en-US', viewport: { width: 1280, height: 900 } });
  const faults: string[] = [];
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  page.on('pageerror', (err) => faults.push(err.message));
  page.on('dialog', (dialog) => void dialog.accept());
  page.on('request', (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith('data:')) faults.push(`asked ${request.url()}`);
  });
  await page.goto(`${url}${path}`);
  return { page, faults };
}

/** With MAESTRO_SCREENSHOTS=FOLDER the pages are kept there, to be looked at. */
export async function shoot(page: Page, name: string): Promise<void> {
  const folder = process.env['MAESTRO_SCREENSHOTS'];
  if (folder !== undefined)
    await page.screenshot({ path: join(folder, `${name}.png`), fullPage: !name.startsWith('size') });
}

export async function axeViolations(page: Page): Promise<string[]> {
  await page.evaluate(await readFile(createRequire(import.meta.url).resolve('axe-core'), 'utf8'));
  const found: unknown = await page.evaluate(
    'axe.run().then((r) => r.violations.map((v) => v.id + ": " + v.nodes[0].html))',
  );
  return z.array(z.string()).parse(found);
}

/** Readable on a phone, in light and dark, and by whoever does not see it. */
export async function looksWell(page: Page, name: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await axeViolations(page)).toEqual([]);
  }
  await page.setViewportSize({ width: 360, height: 800 });
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
  await page.setViewportSize({ width: 1280, height: 900 });
  await shootAll(page, name);
}

/** The same at the widths of a desk, a tablet and a phone, light and dark. */
export async function shootAll(page: Page, name: string): Promise<void> {
  if (process.env['MAESTRO_SCREENSHOTS'] === undefined) return;
  for (const [width, colorScheme] of [
    [1280, 'light'],
    [1280, 'dark'],
    [800, 'light'],
    [360, 'light'],
    [360, 'dark'],
  ] as const) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme });
    await page.waitForTimeout(300);
    await shoot(page, `${name}-${width}-${colorScheme}`);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}
