import { expect, onTestFinished, test } from 'vitest';
import { Script } from '../../src/workers/scripted/script-schema.ts';
import { startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { recordedCosts } from '../support/recorded-costs.ts';
import { startSuppliedFleet } from '../support/supplied-fleet.ts';
import { testRedis } from '../support/test-redis.ts';

const turns = [
  { tools: [{ tool: 'write_file', input: { path: 'b.txt', content: 'b' } }] },
  { tools: [{ tool: 'hand_off', input: { summary: 'done' } }] },
];

/** Runs one phase whose model is overloaded from its second call on, as often as `times` says. */
async function overloaded(defaults: string, times: number, more: { models?: string; content?: string } = {}) {
  const { content = 'a', ...given } = more;
  const first = { tools: [{ tool: 'write_file', input: { path: 'a.txt', content } }] };
  const jobs = [{ phase: 'one', persona: 'author', turns: [first, ...turns] }];
  const script = Script.parse({ workflow: 'busy', jobs });
  const provider = await startScriptedProvider({
    scripts: [script],
    interfere: ({ nth, model }) =>
      model === 'scripted' && nth >= 1 && nth <= times
        ? { fault: { status: 529, type: 'overloaded_error', retry_after_s: 0 } }
        : undefined,
  });
  onTestFinished(() => provider.close());
  const fleet = await startSuppliedFleet(testRedis(), { metrics: () => ({}), model: provider.url, ...given });
  const ended = await fleet.run(
    `apiVersion: maestro/v1\nname: busy\ndefaults: { ${defaults} }\nphases:\n  one: { persona: author, policy: none }\n`,
  );
  const costs = await recordedCosts({ ...fleet, prefix: fleet.at.prefix }, ended.plan.runId);
  const fallbacks = ended.events.filter((event) => event.type === 'model.fallback');
  return { ended, costs, fallbacks, asked: provider.arrivals.map(({ model }) => model) };
}

test('an overloaded model is left for the fallback that the workflow names, and log and ledger say so', async () => {
  const { ended, costs, fallbacks, asked } = await overloaded('model: claude-sonnet, fallback: claude-haiku', 99);
  expect(ended.run.status).toBe('passed_with_warnings');
  expect(asked).toEqual(['scripted', 'scripted', 'scripted-fallback', 'scripted-fallback']);
  expect(fallbacks).toHaveLength(1);
  expect(fallbacks[0]).toMatchObject({ from: 'scripted', to: 'scripted-fallback', phase: 'one', turn: 2 });
  expect(fallbacks[0]?.reason).toContain('529 overloaded_error');
  expect(costs.byModel.map(({ key, totals }) => [key, totals.calls])).toEqual([
    ['scripted', 1],
    ['scripted-fallback', 2],
  ]);
});

test('without one it is waited for, however long', async () => {
  const { ended, fallbacks, asked } = await overloaded('model: claude-sonnet', 2);
  expect(ended.run.status).toBe('passed_with_warnings');
  expect(new Set(asked)).toEqual(new Set(['scripted']));
  expect(asked).toHaveLength(5);
  expect(fallbacks).toEqual([]);
});

test('a fallback that cannot take the conversation in is not asked: the model is waited for', async () => {
  const models = `apiVersion: maestro/v1
aliases: { claude-sonnet: scripted, claude-haiku: scripted-fallback }
prices: { scripted: null, scripted-fallback: null }
contextTokens: { scripted-fallback: 24000 }
`;
  const content = 'word '.repeat(12_000);
  const { ended, fallbacks, asked } = await overloaded('model: claude-sonnet, fallback: claude-haiku', 2, {
    models,
    content,
  });
  expect(ended.run.status).toBe('passed_with_warnings');
  expect(fallbacks).toEqual([]);
  expect(asked).toEqual(Array.from({ length: 5 }, () => 'scripted'));
});
