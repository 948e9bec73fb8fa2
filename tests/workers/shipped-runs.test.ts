import { describe, expect, it } from 'vitest';
import { putJson } from '../../src/shared/blob-store.ts';
import { buildDefinitions, loadRunSources, shippedFolders } from '../../src/producer/definitions-builder.ts';
import { planRun } from '../../src/producer/plan.ts';
import { loadWorkflow, shippedWorkflows } from '../../src/producer/workflow-file.ts';
import { PACKAGE_ROOT } from '../../src/shared/package-root.ts';
import { OPEN_PHASE } from '../../src/shared/run-record.ts';
import { startNoopRuns } from '../support/noop-runs.ts';

const names = await shippedWorkflows(PACKAGE_ROOT);
const sources = await loadRunSources(shippedFolders(PACKAGE_ROOT));

describe.each(names)('the shipped workflow %s', (name) => {
  it('runs to its end, with personas and gates that do nothing', async () => {
    const loaded = await loadWorkflow(name, { cwd: PACKAGE_ROOT, packageRoot: PACKAGE_ROOT });
    const definitions = buildDefinitions(loaded, sources);
    const { run, store, ctx } = await startNoopRuns({
      personas: Object.keys(definitions.personas),
      outputs: (phase) => (phase === 'design' ? { services: [{ name: 'users' }, { name: 'orders' }] } : undefined),
    });
    const plan = planRun({
      definitions,
      definitionsRef: await putJson(ctx.blobs, definitions),
      policySet: sources.policySet,
      digest: loaded.digest,
      inputs: { requirement: 'a list of links that a team shares' },
      provider: 'scripted',
      scripted: { scenario: 'main', approvals: true },
    });
    expect(await run(plan)).toBe('passed');
    const phases = await store.getPhases(plan.runId);
    expect(phases.every(({ status }) => OPEN_PHASE.includes(status))).toBe(true);
    const expected = name === 'services' ? ['service--users', 'service--orders'] : [];
    expect(phases.map(({ phase }) => phase).filter((phase) => phase.includes('--'))).toEqual(expected);
  });
});
