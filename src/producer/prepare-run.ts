import { FleetError } from '../shared/errors.ts';
import type { BlobStore } from '../shared/blob-store.ts';
import { loadModelConfig, priceOf } from '../shared/model-config.ts';
import type { ProviderName, RunPlan } from '../shared/run-record.ts';
import type { Budget, InputValues } from '../shared/workflow-schema.ts';
import type { RunId } from '../shared/names.ts';
import { type DefinitionFolders, buildDefinitions, storeDefinitions } from './definitions-builder.ts';
import { planRun } from './plan.ts';
import type { LoadedWorkflow } from './workflow-file.ts';

export interface RunRequest {
  inputs: InputValues;
  provider: ProviderName;
  scripted: RunPlan['scripted'];
  budget?: Budget;
  runId?: RunId;
}

/** From a workflow file to a plan whose definitions are in the blob store. Nothing is enqueued yet. */
export async function prepareRun(
  blobs: BlobStore,
  folders: DefinitionFolders,
  loaded: LoadedWorkflow,
  request: RunRequest,
): Promise<RunPlan> {
  const definitions = await buildDefinitions(loaded, folders);
  const plan = planRun({
    ...request,
    definitions,
    definitionsRef: await storeDefinitions(blobs, definitions),
    digest: loaded.digest,
  });
  await assertAffordable(plan, folders);
  return plan;
}

/** A budget in dollars is a promise; with an unknown price nobody could keep it. */
async function assertAffordable(plan: RunPlan, folders: DefinitionFolders): Promise<void> {
  if (plan.provider === 'scripted' || plan.budget.usd === undefined) return;
  const config = await loadModelConfig(folders.models);
  const unknown = [...new Set(plan.phases.map((phase) => phase.model))].filter(
    (model) => priceOf(config, model) === null,
  );
  if (unknown.length === 0) return;
  throw new FleetError(
    'BAD_INPUT',
    `the budget of $${plan.budget.usd} cannot be kept: ${folders.models} has no price for ${unknown.join(', ')}`,
    { remedy: 'Fill in the prices with their date, or give a budget in tokens alone (--budget-tokens N).' },
  );
}
