import { expect, describe, it } from 'vitest';
import { type CostBound, costBound } from '../../src/producer/cost-bound.ts';
import { costBoundAsText } from '../../src/producer/cost-bound-text.ts';
import { buildDefinitions, loadRunSources, shippedFolders } from '../../src/producer/definitions-builder.ts';
import { planRun } from '../../src/producer/plan.ts';
import { parseWorkflow } from '../../src/producer/workflow-file.ts';
import { type ModelConfig, parseModelConfig } from '../../src/shared/model-config.ts';
import { BlobRef } from '../../src/shared/run-record.ts';
import { fixtureRoot } from './fixture.ts';

const sources = await loadRunSources(shippedFolders(await fixtureRoot()));
const MODELS = parseModelConfig(
  `apiVersion: maestro/v1
aliases: { claude-sonnet: sonnet, claude-opus: opus, claude-haiku: haiku }
contextTokens: { sonnet: 100000 }
prices:
  sonnet: { asOf: 2026-11-01, input: 3, output: 15, cacheWrite: 3.75, cacheRead: 0.3 }
  opus: { asOf: 2026-10-07, input: 15, output: 75, cacheWrite: 18.75, cacheRead: 1.5 }
  haiku: null
`,
  'models.yaml',
);

function boundOf(phases: string, more: { head?: string; provider?: 'scripted'; models?: ModelConfig } = {}): CostBound {
  const { head = '', provider = 'anthropic', models = MODELS } = more;
  const text = `apiVersion: maestro/v1\nname: w\ndefaults: { attempts: 2, rework: 1 }\n${head}\nphases:\n${phases}`;
  const loaded = parseWorkflow({ file: 'w.yaml', text });
  const definitions = buildDefinitions(loaded, { ...sources, models });
  const plan = planRun({
    definitions,
    definitionsRef: BlobRef.parse('a'.repeat(64)),
    policySet: sources.policySet,
    digest: loaded.digest,
    inputs: null,
    provider,
    scripted: provider === 'scripted' ? { scenario: 'main', approvals: false } : null,
  });
  return costBound({ plan, definitions, policySet: sources.policySet, models });
}
const textOf = (bound: CostBound): string => costBoundAsText(bound).join('\n');

/**
 * A conversation of 60 turns with answers of 16,000 tokens, in a window of 100,000: all but the first turn may sum it up,
 * with two notes of 8,000, and ask twice. Whatever is not the answer is written to the cache, at $3.75 a million.
 */
const CALL = 84_000 * 3.75 + 16_000 * 15;
const NOTE = 92_000 * 3.75 + 8_000 * 15;
const CALLS = 1 + 59 * 2 + 59 * 2;
const TALK = (1 + 59 * 2) * CALL + 59 * 2 * NOTE;
/** Attempts times rounds. */
const TIMES = 2 * 2;

describe('the most that a plan can cost', () => {
  it('is every call of every turn, attempt, round, persona and reviewer at its worst, to the millionth', () => {
    const head = 'inputs: { requirement: { type: string } }';
    const phases = `  one: { persona: idler, policy: none }
  pair: { personas: [idler, analyst], policy: none }
  judged: { persona: idler, policy: design }
  many: { persona: idler, policy: none, matrix: { a: [1, 2], b: [x, y, z] } }`;
    const bound = boundOf(phases, { head });
    const [one, pair, judged, many] = bound.phases;
    expect(one).toMatchObject({ instances: 1, rounds: 2, reviewers: [], models: ['sonnet'] });
    const micros = TIMES * TALK;
    expect(one?.most).toEqual({
      calls: TIMES * CALLS,
      tokens: TIMES * CALLS * 100_000,
      micros,
      usd: micros / 1_000_000,
    });
    expect(pair?.most?.micros).toBe(2 * micros);
    expect(judged?.reviewers).toEqual(['phase_reviewer', 'security_specialist']);
    expect(judged?.most?.micros).toBe(3 * micros);
    expect(many).toMatchObject({ instances: 6, each: { micros }, most: { micros: 6 * micros } });
    expect(bound.most?.micros).toBe(12 * micros);
    expect(bound.unknown).toEqual([]);
    const text = textOf(bound);
    expect(text).toContain(`$${((12 * micros) / 1e6).toFixed(6)}`);
    expect(text).toMatch(/many x 6 /);
    expect(text).toContain('prices: sonnet as of 2026-11-01');
    expect(text).toContain('no budget applies');
  });

  it('counts a fallback at its own price and window, when it is the dearer one', () => {
    const { phases, prices } = boundOf('  one: { persona: idler, policy: none, fallback: claude-opus }');
    const call = 184_000 * 18.75 + 16_000 * 75;
    const note = 192_000 * 18.75 + 8_000 * 75;
    expect(phases[0]?.most?.micros).toBe(TIMES * (119 * call + 118 * note));
    expect(phases[0]?.most?.tokens).toBe(TIMES * CALLS * 200_000);
    expect(prices).toEqual([
      { model: 'sonnet', asOf: '2026-11-01' },
      { model: 'opus', asOf: '2026-10-07' },
    ]);
  });

  it('is not known while a list is not, and says so beside what one instance may cost', () => {
    const bound = boundOf(`  one: { persona: idler, policy: none }
  many: { needs: [one], persona: idler, policy: none, foreach: phases.one.outputs.parts }`);
    const micros = TIMES * TALK;
    expect(bound).toMatchObject({ most: null, unknown: ['many'], known: { micros } });
    expect(bound.phases[1]).toMatchObject({ instances: null, most: null, each: { micros } });
    const text = textOf(bound);
    expect(text).toMatch(/many x \? .*each/);
    expect(text).toContain('unknown in all: how many instances many will have');
    expect(text).toContain('in all, without those not known');
  });

  it('is not known in dollars without a price, and never nothing', () => {
    const bound = boundOf('  one: { persona: idler, policy: none, model: claude-haiku }', {
      head: 'budget: { usd: 1 }',
    });
    expect(bound.most).toMatchObject({ micros: null, usd: null, tokens: TIMES * CALLS * 200_000 });
    expect(bound.budgets).toEqual([{ scope: 'run', unit: 'usd', limit: 1, fits: null }]);
    const text = textOf(bound);
    expect(text).toContain('unknown: no price');
    expect(text).toContain('no price for haiku: fill it in');
    expect(text).toContain('not known whether the plan fits');
    expect(text).not.toContain('$0');
  });

  it('is nothing for a script, which says that nothing is bought', () => {
    const bound = boundOf('  one: { persona: idler, policy: none }', { provider: 'scripted' });
    expect(bound).toMatchObject({ prices: [], most: { micros: 0 } });
    expect(textOf(bound)).toContain('nothing is bought: no real model is asked');
  });

  it('is held against every budget that applies', () => {
    const one = '  one: { persona: idler, policy: none }';
    const usd = (TIMES * TALK) / 1e6;
    const fits = (head: string, perDay?: { usd?: number; tokens?: number }): (boolean | null)[] =>
      boundOf(one, { head, ...(perDay ? { models: { ...MODELS, budgets: { perDay } } } : {}) }).budgets.map(
        (budget) => budget.fits,
      );
    expect(fits(`budget: { usd: ${usd} }`)).toEqual([true]);
    expect(fits(`budget: { usd: ${usd - 0.000001} }`)).toEqual([false]);
    const tokens = TIMES * CALLS * 100_000;
    expect(fits(`budget: { usd: 1, perDay: { tokens: ${tokens} } }`, { tokens: tokens - 1 })).toEqual([
      false,
      true,
      false,
    ]);
    const many = `${one}\n  many: { needs: [one], persona: idler, policy: none, foreach: phases.one.outputs.parts }`;
    expect(boundOf(many, { head: `budget: { usd: ${usd} }` }).budgets[0]?.fits).toBeNull();
    expect(boundOf(many, { head: 'budget: { usd: 1 }' }).budgets[0]?.fits).toBe(false);
    expect(textOf(boundOf(one, { head: 'budget: { usd: 1 }' }))).toContain(
      'budget of the run, $1: the plan may need more; the run then ends blocked',
    );
  });

  it('is not given where it cannot be counted exactly', () => {
    const dear = {
      ...MODELS,
      prices: {
        ...MODELS.prices,
        sonnet: { asOf: '2026-11-01', input: 1e9, output: 1e9, cacheWrite: 1e9, cacheRead: 1e9 },
      },
    };
    const bound = boundOf('  one: { persona: idler, policy: none }', { models: dear, head: 'budget: { usd: 1 }' });
    expect(bound.most).toMatchObject({ micros: null, usd: null });
    expect(bound.budgets[0]?.fits).toBe(false);
    expect(textOf(bound)).toContain('too many to count exactly');
  });
});
