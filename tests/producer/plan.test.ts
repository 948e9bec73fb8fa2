import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildDefinitions, loadRunSources, shippedFolders } from '../../src/producer/definitions-builder.ts';
import { inputsFromText } from '../../src/producer/inputs.ts';
import { describePlan, planAsMermaid, planAsText } from '../../src/producer/plan-description.ts';
import { type PlanRequest, planRun } from '../../src/producer/plan.ts';
import { parseWorkflow } from '../../src/producer/workflow-file.ts';
import { costOf, loadModelConfig, priceOf } from '../../src/shared/model-config.ts';
import { packagePath } from '../../src/shared/package-root.ts';
import { BlobRef, RunPlan } from '../../src/shared/run-record.ts';
import { DIAMOND, fixtureRoot } from './fixture.ts';

const root = await fixtureRoot();
const sources = await loadRunSources(shippedFolders(root));
const definitionsRef = BlobRef.parse('a'.repeat(64));
const requirement = 'shorten my urls please';

function requestFor(text: string, extra: Partial<PlanRequest> = {}): PlanRequest {
  const definitions = buildDefinitions(parseWorkflow({ file: 'w.yaml', text }), sources);
  const base = {
    definitions,
    definitionsRef,
    policySet: sources.policySet,
    digest: 'sha256:x',
    inputs: { requirement },
  };
  return { ...base, provider: 'anthropic', scripted: null, ...extra };
}
const HEAD = 'apiVersion: maestro/v1\nname: w\n';

describe('planning a run', () => {
  it('fills in every default and puts phases after what they need', async () => {
    const plan = planRun(requestFor(DIAMOND));
    expect(RunPlan.parse(plan)).toEqual(plan);
    expect(plan.phases.map(({ name }) => name)).toEqual(['requirements', 'design', 'backend', 'frontend', 'testing']);
    expect(plan.inputs).toEqual({ requirement, audit: false });
    expect(plan.phases[0]).toMatchObject({
      policy: 'requirements',
      policyFallback: false,
      model: 'claude-sonnet-5-5',
      attempts: 3,
      rework: 2,
      timeoutMs: 20 * 60_000,
      approvalRole: null,
    });
    expect(plan.phases[2]?.policy).toBeNull();
    expect(plan.phases[4]?.approvalRoles).toContain('tech_lead');
    expect(plan.phases[0]?.approvalRoles).toEqual(['stakeholder']);
  });

  it('orders phases that are written before what they need', async () => {
    const text = `${HEAD}phases:\n  last: { needs: [first], persona: idler, policy: none }\n  first: { persona: idler, policy: none }\n`;
    const plan = planRun(requestFor(text, { inputs: {} }));
    expect(plan.phases.map(({ name }) => name)).toEqual(['first', 'last']);
  });

  it('says when the fallback policy judges a phase, and takes service_template for service_ phases', async () => {
    const text = `${HEAD}phases:\n  odd: { persona: idler }\n  service_users: { persona: idler }\n`;
    const { phases } = planRun(requestFor(text, { inputs: {} }));
    expect(phases.map(({ policy, policyFallback }) => [policy, policyFallback])).toEqual([
      ['custom_component', true],
      ['service_template', false],
    ]);
  });

  it('names the scripted model when a script plays the personas', async () => {
    const scripted = { scenario: 'main', approvals: true };
    const plan = planRun(requestFor(DIAMOND, { provider: 'scripted', scripted }));
    expect(new Set(plan.phases.map(({ model }) => model))).toEqual(new Set(['scripted']));
  });

  it('prefers the phase, then the workflow, and refuses a model that is not listed', async () => {
    const text = (model: string): string =>
      `${HEAD}defaults: { model: claude-haiku, attempts: 5, timeout: 1h30m }\nphases:\n  a: { persona: idler, policy: none, model: ${model} }\n  b: { persona: idler, policy: none, attempts: 1 }\n`;
    const { phases } = planRun(requestFor(text('claude-opus'), { inputs: {} }));
    expect(phases.map(({ model, attempts, timeoutMs }) => [model, attempts, timeoutMs])).toEqual([
      ['claude-opus-5-5', 5, 5_400_000],
      ['claude-haiku-5-5', 1, 5_400_000],
    ]);
    const unknown = requestFor(text('claude-opsu'), { inputs: {} });
    expect(() => planRun(unknown)).toThrow(/does not list \(did you mean "claude-opus"\?\)/);
  });
});

describe('inputs', () => {
  it('refuses what is missing, unknown or out of bounds, all at once', async () => {
    const text = `${HEAD}inputs:
  requirement: { type: string, minLength: 10 }
  size: { type: string, enum: [small, large] }
  count: { type: number, minimum: 1, maximum: 3 }
  note: { type: string, optional: true }
phases: { a: { persona: idler, policy: none } }
`;
    const request = requestFor(text, { inputs: { requirment: 'x', size: 'smal', count: 4 } });
    expect(() => planRun(request)).toThrow(
      expect.objectContaining({
        code: 'BAD_INPUT',
        details: {
          errors: [
            { path: 'body.inputs.requirment', message: 'is not declared (did you mean "requirement"?)' },
            { path: 'body.inputs.requirement', message: 'is missing' },
            { path: 'body.inputs.size', message: 'must be one of small, large (did you mean "small"?)' },
            { path: 'body.inputs.count', message: 'may be at most 3' },
          ],
        },
      }),
    );
  });

  it('refuses a wrong type and names that do not come from the workflow itself', async () => {
    const wrong = requestFor(DIAMOND, { inputs: { requirement: 12345678901 } });
    expect(() => planRun(wrong)).toThrow(/"requirement" must be a string, and is a number/);
    const inherited = requestFor(DIAMOND, { inputs: { requirement, constructor: 'x' } });
    expect(() => planRun(inherited)).toThrow(/there is no input "constructor"/);
  });

  it('turns command line texts into the declared types', () => {
    const text = `${HEAD}inputs: { n: { type: number }, b: { type: boolean }, s: { type: string } }\nphases: { a: { persona: idler } }\n`;
    const { workflow } = parseWorkflow({ file: 'w.yaml', text });
    expect(inputsFromText(workflow, { n: '4', b: 'true', s: '7', x: 'y' })).toEqual({ n: 4, b: true, s: '7', x: 'y' });
    expect(inputsFromText(workflow, { n: 'four', b: 'yes' })).toEqual({ n: 'four', b: 'yes' });
  });
});

describe('describing a plan', () => {
  it('tells levels, queues, gates and the number of jobs', async () => {
    const request = requestFor(DIAMOND);
    const description = describePlan(planRun(request), request.definitions, sources.models);
    expect(description.phases.map(({ name, level, gates }) => [name, level, gates > 0])).toEqual([
      ['requirements', 0, true],
      ['design', 1, true],
      ['backend', 2, false],
      ['frontend', 2, true],
      ['testing', 3, false],
    ]);
    // One run job; a persona and a gate job per phase; a fan job and one edge job for the second user of `design`.
    expect(description.jobs).toBe(1 + 5 * 2 + 2);
    expect(description.queues).toEqual(['persona.analyst', 'persona.architect', 'persona.coder', 'persona.tester']);
    expect(planAsText(description)).toMatch(/diamond: 5 phases on 4 levels, 4 persona queues, 13 jobs/);
    expect(planAsText(description)).toMatch(/backend .* not gated/);
    expect(planAsMermaid(description)).toContain('p1 --> p2');
  });
});

describe('prices', () => {
  it('ships no price, so that every cost is unknown until somebody fills it in', async () => {
    const config = await loadModelConfig(packagePath('config', 'models.yaml'));
    expect(Object.values(config.prices).every((price) => price === null)).toBe(true);
    expect(priceOf(config, 'claude-sonnet-5-5')).toBeNull();
  });

  it('adds up the four kinds of tokens, and never guesses', () => {
    const usage = { inputTokens: 1_000_000, outputTokens: 500_000, cacheReadTokens: 2_000_000, cacheWriteTokens: 0 };
    const price = { asOf: '2026-11-01', input: 3, output: 15, cacheWrite: 4, cacheRead: 0.5 };
    expect(costOf(usage, price)).toBe(3 + 7.5 + 1);
    expect(costOf(usage, null)).toBeNull();
    const nothing = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 };
    expect(costOf(nothing, null)).toBe(0);
  });

  it('refuses an alias of a model that is not listed', async () => {
    const file = join(root, 'bad-models.yaml');
    await writeFile(file, 'apiVersion: maestro/v1\naliases: { a: b }\nprices: {}\n');
    await expect(loadModelConfig(file)).rejects.toThrow(/bad-models\.yaml:2:15: aliases\.a: "b" is not listed/);
  });
});
