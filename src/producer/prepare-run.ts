import { checkGivenFiles } from '../gates/collectors/operations/check-given-files.ts';
import { FleetError } from '../shared/errors.ts';
import type { BlobStore } from '../shared/blob-store.ts';
import type { Definitions, GivenFiles } from '../shared/definitions.ts';
import { storeGivenFiles } from '../shared/given-files.ts';
import { priceOf } from '../shared/model-config.ts';
import { type BlobRef, type ProviderName, type RunPlan, spendKindOf } from '../shared/run-record.ts';
import type { Budget, InputValues } from '../shared/workflow-schema.ts';
import type { RunId } from '../shared/names.ts';
import { type RunSources, buildDefinitions, storeDefinitions } from './definitions-builder.ts';
import { planRun } from './plan.ts';
import type { LoadedWorkflow } from './workflow-file.ts';

export interface RunRequest {
  inputs: InputValues;
  provider: ProviderName;
  scripted: RunPlan['scripted'];
  budget?: Budget;
  /** In the place of the workflow's own: from 0, the most urgent, to 100. */
  priority?: number;
  runId?: RunId;
  /** Records of operation and advisories. */
  given?: GivenFiles;
  /** A later phase to start from, with the files that stand for the work of those before it. */
  startFrom?: RunPlan['startFrom'];
  /** Files that the first workspaces begin with. */
  files?: RunPlan['files'];
  /** Every call is recorded. */
  isRecorded?: boolean;
  /** What is replayed. */
  cassette?: RunPlan['cassette'];
  /** When it is to start; at once, when not given. */
  startAt?: string;
}

/** From a workflow file to a plan whose definitions are in the blob store. Nothing is enqueued yet. */
export async function prepareRun(
  blobs: BlobStore,
  sources: RunSources,
  loaded: LoadedWorkflow,
  { given = {}, startAt, ...request }: RunRequest,
): Promise<RunPlan> {
  checkGivenFiles(given);
  const { definitions, definitionsRef } = await definitionsOf(blobs, sources, loaded, given);
  const plan = planRun({
    ...request,
    definitions,
    definitionsRef,
    policySet: sources.policySet,
    digest: loaded.digest,
  });
  assertAffordable(plan, sources);
  return startAt === undefined ? plan : { ...plan, startAt };
}

interface Gathered {
  sources: RunSources;
  definitions: Definitions;
  definitionsRef: BlobRef;
}
const gathered = new WeakMap<LoadedWorkflow, Gathered>();

/** What a run is made from, in the blob store. The same workflow with the same sources is checked and written once. */
async function definitionsOf(
  blobs: BlobStore,
  sources: RunSources,
  loaded: LoadedWorkflow,
  given: GivenFiles,
): Promise<Omit<Gathered, 'sources'>> {
  const isPlain = Object.values(given).every((file) => file === undefined);
  const known = isPlain ? gathered.get(loaded) : undefined;
  if (known?.sources === sources && (await blobs.has(known.definitionsRef))) return known;
  const definitions = { ...buildDefinitions(loaded, sources), ...(await storeGivenFiles(blobs, given)) };
  const definitionsRef = await storeDefinitions(blobs, definitions);
  if (isPlain) gathered.set(loaded, { sources, definitions, definitionsRef });
  return { definitions, definitionsRef };
}

/** A budget in dollars is a promise; with an unknown price nobody could keep it. */
function assertAffordable(plan: RunPlan, { models, modelsFile }: RunSources): void {
  if (spendKindOf(plan) === 'free' || plan.budget.usd === undefined) return;
  const used = [...new Set(plan.phases.map((phase) => phase.model))];
  const unknown = used.filter((model) => priceOf(models, model) === null);
  if (unknown.length === 0) return;
  throw new FleetError(
    'BAD_INPUT',
    `the budget of $${plan.budget.usd} cannot be kept: ${modelsFile} has no price for ${unknown.join(', ')}`,
    { remedy: 'Fill in the prices with their date, or give a budget in tokens alone (--budget-tokens N).' },
  );
}
