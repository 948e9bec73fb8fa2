/** Opens the page of a service in headless Chromium and prints one JSON report. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Server, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { type Page, chromium } from 'playwright-core';
import { z } from 'zod';
import { PageInput, type PageReport } from '../collectors/running/page-report.ts';
import { HttpClient, waitForService } from './run-http.ts';

const READY_MS = 90_000;
const LOAD_MS = 20_000;
const SETTLE_MS = 3000;
const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

const input = PageInput.parse(JSON.parse(readFileSync(0, 'utf8')));
const client = new HttpClient(input.socket, 1);
if (!(await waitForService(client, READY_MS))) {
  process.stderr.write(`nothing answered on ${input.socket} within ${READY_MS / 1000} s\n`);
  process.exit(1);
}
client.close();

/** Browsers speak no unix sockets: offers the service on the loopback of this sandbox. */
const relay = createServer((browser) => {
  const service = connect(input.socket);
  browser.on('error', () => service.destroy());
  service.on('error', () => browser.destroy());
  browser.pipe(service).pipe(browser);
});
const listen = (server: Server): Promise<number> =>
  new Promise((done) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      done(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });

const AxeResult = z.object({
  testEngine: z.object({ version: z.string() }),
  passes: z.array(z.object({ id: z.string() })),
  violations: z.array(
    z.object({
      id: z.string(),
      impact: z.string().nullish(),
      help: z.string(),
      nodes: z.array(z.object({ target: z.array(z.unknown()) })),
    }),
  ),
});

/** Runs axe in a world of its own: it sees the page's elements, and the page's scripts cannot reach it. */
async function runAxe(page: Page): Promise<PageReport['axe']> {
  const source = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send('Page.getFrameTree');
  const { executionContextId } = await session.send('Page.createIsolatedWorld', {
    frameId: frameTree.frame.id,
    worldName: 'axe',
  });
  await session.send('Runtime.evaluate', { expression: source, contextId: executionContextId });
  const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
    expression:
      'axe.run(document).then((found) => JSON.stringify({ testEngine: found.testEngine, passes: found.passes, violations: found.violations }))',
    contextId: executionContextId,
    awaitPromise: true,
    returnByValue: true,
  });
  if (exceptionDetails !== undefined) throw new Error(`axe did not run: ${exceptionDetails.text}`);
  const found = AxeResult.parse(JSON.parse(String(result.value)));
  return {
    version: found.testEngine.version,
    passes: found.passes.length,
    violations: found.violations.map((violation) => ({
      id: violation.id,
      impact: violation.impact ?? 'minor',
      help: violation.help,
      nodes: violation.nodes.slice(0, 5).map((node) => node.target.map(String).join(' ')),
    })),
  };
}

async function findComponents(page: Page): Promise<PageReport['components']> {
  const found: PageReport['components'] = [];
  for (const { name, selector } of input.components) {
    try {
      const locator = page.locator(`css=${selector}`);
      const count = await locator.count();
      const visible = count > 0 && (await locator.first().isVisible());
      found.push({
        name,
        selector,
        visible,
        seen: count === 0 ? 'is not in the page' : visible ? 'is visible' : 'is in the page but not visible',
      });
    } catch (err) {
      found.push({
        name,
        selector,
        visible: false,
        seen: `is no selector: ${err instanceof Error ? (err.message.split('\n')[0] ?? '') : ''}`,
      });
    }
  }
  return found;
}

const port = await listen(relay);
const origin = `http://127.0.0.1:${port}`;
const browser = await chromium.launch({
  executablePath: input.browser.executablePath,
  args: input.browser.args,
  headless: true,
});
const page = await browser.newPage({ viewport: DESKTOP });
const problems: string[] = [];
page.on('console', (entry) => {
  if (entry.type() === 'error') problems.push(`console error: ${entry.text().slice(0, 300)}`);
});
page.on('pageerror', (err) => problems.push(`uncaught error: ${err.message.slice(0, 300)}`));
page.on('requestfailed', (request) =>
  problems.push(`request failed: ${request.url().slice(0, 200)} ${request.failure()?.errorText ?? ''}`),
);

const startedAt = performance.now();
const response = await page.goto(`${origin}/`, { waitUntil: 'load', timeout: LOAD_MS });
const loadMs = Math.round(performance.now() - startedAt);
const settled = page.waitForLoadState('networkidle', { timeout: SETTLE_MS });
await settled.catch(() => problems.push(`requests went on for ${SETTLE_MS} ms after the page had loaded`));

const components = await findComponents(page);
const axe = await runAxe(page);
const screenshots: string[] = [];
for (const [name, viewport] of [
  ['desktop', DESKTOP],
  ['phone', PHONE],
] as const) {
  await page.setViewportSize(viewport);
  const file = `screenshot-${name}.png`;
  await page.screenshot({ path: join(input.out, file) });
  screenshots.push(file);
}
const report: PageReport = {
  browser: browser.version(),
  status: response?.status() ?? 0,
  loadMs,
  components,
  axe,
  screenshots,
  problems: problems.map((problem) => problem.replaceAll(origin, '')).slice(0, 50),
};
await browser.close();
relay.close();
process.stdout.write(JSON.stringify(report));
