import { expect, onTestFinished, test } from 'vitest';
import { cancelRun } from '../../src/producer/run-control.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { TERMINAL_RUN } from '../../src/shared/run-record.ts';
import { openSandbox } from '../../src/shared/sandbox/open-sandbox.ts';
import { startFleet } from '../../src/workers/fleet.ts';
import { processes } from '../system/maestro.ts';
import { personaRun } from '../support/persona-runs.ts';
import { testRedis } from '../support/test-redis.ts';

const WITHIN = { timeout: 3_000, interval: 30 };

/** How many processes of this machine have a text in their command line. */
const running = async (text: string): Promise<number> =>
  (await processes()).filter((one) => one.text.includes(text) && one.pid !== process.pid).length;

/** A fleet that works on the run, with a sandbox that holds. */
async function working(of: Omit<Parameters<typeof personaRun>[1], 'tools'>) {
  const at = testRedis();
  const run = await personaRun(at, { ...of, tools: ['shell', 'write_file', 'run_gates'] });
  const sandbox = await openSandbox({ mode: 'auto', cache: run.home, logger: silentLogger() });
  const ctx = { ...run.ctx, sandbox };
  const fleet = await startFleet(ctx, { personas: ['noop'], gates: true, concurrency: 1 });
  onTestFinished(() => fleet.close(1_000));
  const { store } = ctx;
  const { runId } = run.plan;
  const cancel = () => cancelRun({ redis: ctx.redis, prefix: at.prefix, store }, runId, 'enough');
  const isOver = async () => TERMINAL_RUN.includes((await store.getRun(runId)).status);
  return { ...run, store, cancel, isOver };
}

test('the time of a phase ends the command of its persona within three seconds, and the phase says so', async () => {
  const sleep = 'sleep 62.7351';
  const { store, plan, isOver } = await working({
    turns: [{ tools: [{ tool: 'shell', input: { command: `(${sleep}) & ${sleep}` } }] }],
    plan: { timeoutMs: 4_000, attempts: 1 },
  });
  await expect.poll(() => running(sleep), { timeout: 20_000, interval: 30 }).toBeGreaterThan(0);
  await expect.poll(isOver, { timeout: 20_000, interval: 30 }).toBe(true);
  await expect.poll(() => running(sleep), WITHIN).toBe(0);
  const fault = (await store.readEvents(plan.runId, 0)).find((event) => event.type === 'persona.fault');
  expect(fault).toMatchObject({ final: true });
  expect(JSON.stringify(fault)).toContain('TIMEOUT: phase \\"a\\" timed out after 4 s');
});

test('a cancel ends the gates that a persona has measured, with all they started, within three seconds', async () => {
  const marker = `slow-${process.pid}-${Date.now()}`;
  const write = (path: string, content: string) => ({ tool: 'write_file', input: { path, content } });
  const slow = `import test from 'node:test';\nimport { one } from '../../src/backend/index.js';\ntest('slow', () => new Promise((done) => setTimeout(done, 300_000, one)));\n`;
  const { cancel, plan, store } = await working({
    turns: [
      {
        tools: [
          write(
            'package.json',
            JSON.stringify({ name: 'slow', type: 'module', scripts: { test: 'node --test', build: 'true' } }),
          ),
          write('src/backend/index.js', 'export const one = 1;\n'),
          write(`tests/unit/${marker}.test.js`, slow),
          { tool: 'run_gates', input: {} },
        ],
      },
    ],
    plan: { policy: 'custom_component', attempts: 1 },
  });
  const named = `${marker}.test.js`;
  await expect.poll(() => running(named), { timeout: 60_000, interval: 50 }).toBeGreaterThan(0);
  await cancel();
  await expect.poll(() => running(named), WITHIN).toBe(0);
  expect((await store.getRun(plan.runId)).status).toBe('cancelled');
});
