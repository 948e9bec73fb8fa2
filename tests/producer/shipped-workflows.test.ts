import { describe, expect, it } from 'vitest';
import { buildDefinitions, loadRunSources, shippedFolders } from '../../src/producer/definitions-builder.ts';
import { describePlan } from '../../src/producer/plan-description.ts';
import { planRun } from '../../src/producer/plan.ts';
import { loadWorkflow, shippedWorkflows } from '../../src/producer/workflow-file.ts';
import { PACKAGE_ROOT } from '../../src/shared/package-root.ts';
import { BlobRef } from '../../src/shared/run-record.ts';
import type { InputSpec } from '../../src/shared/workflow-schema.ts';

const sources = await loadRunSources(shippedFolders(PACKAGE_ROOT));
const names = await shippedWorkflows(PACKAGE_ROOT);

/** Some value that an input takes. */
const valueFor = ({ type, minLength = 1, minimum = 0, enum: words }: InputSpec): string | number | boolean =>
  ({ string: words?.[0] ?? 'x'.repeat(minLength), number: minimum, boolean: true })[type];

describe.each(names)('the shipped workflow %s', (name) => {
  it('is sound, bears its own name, and can be planned', async () => {
    const loaded = await loadWorkflow(name, { cwd: PACKAGE_ROOT, packageRoot: PACKAGE_ROOT });
    const definitions = buildDefinitions(loaded, sources);
    const inputs = Object.fromEntries(
      Object.entries(loaded.workflow.inputs).map(([key, spec]) => [key, valueFor(spec)]),
    );
    const plan = planRun({
      definitions,
      definitionsRef: BlobRef.parse('0'.repeat(64)),
      policySet: sources.policySet,
      digest: loaded.digest,
      inputs,
      provider: 'anthropic',
      scripted: null,
    });
    expect(plan.workflow).toBe(name);
    const { phases } = describePlan(plan, definitions, sources.models);
    expect(phases.every(({ policy, gates }) => policy === null || gates > 0)).toBe(true);
  });
});
