import type { z } from 'zod';
import type { ShelvedBlobs } from '../shared/blob-store.ts';
import type { GivenFile } from '../shared/definitions.ts';
import { FleetError } from '../shared/errors.ts';
import type { RunId } from '../shared/names.ts';
import type { ProviderName } from '../shared/run-record.ts';
import type { ExecuteRequest } from './api-schemas.ts';
import { boundedBudget } from './bounded-budget.ts';
import type { RunSources } from './definitions-builder.ts';
import type { EnqueueTarget } from './enqueue-target.ts';
import type { Budget, InputValues } from '../shared/workflow-schema.ts';
import { enqueueRun } from './enqueue.ts';
import { commitHandedIn } from './handed-in-files.ts';
import { prepareRun } from './prepare-run.ts';
import { type Principal, mayDo } from './principal.ts';
import { startTime } from './start-time.ts';
import { Uploads } from './uploads.ts';
import type { LoadedWorkflow } from './workflow-file.ts';

type Request = z.infer<typeof ExecuteRequest>;

/** Where runs are made, and from what. */
export interface ExecuteContext extends EnqueueTarget {
  workflows: { load(name: string, digest?: string): Promise<LoadedWorkflow> };
  blobs: ShelvedBlobs;
  sources: RunSources;
  /** Who plays the personas when a request does not say. */
  provider: ProviderName;
}

/** Plans and enqueues a run of a workflow. With a key, asking again gives the run that the first time made. */
export async function executeWorkflow(
  context: ExecuteContext,
  { name, by }: { name: string; by: Principal },
  request: Request,
  key: string | undefined,
): Promise<RunId> {
  const { workflows, blobs, redis, prefix, store } = context;
  const provider = request.provider ?? context.provider;
  if (provider !== 'scripted' && request.scripted !== undefined)
    throw new FleetError('BAD_INPUT', '`scripted` is only possible with the scripted provider');
  const loaded = await workflows.load(name, request.workflowDigest);
  assertVersion(loaded, request.workflowDigest);
  const uploads = new Uploads(context);
  const given = {
    records: await givenFile(uploads, request.records),
    advisories: await givenFile(uploads, request.advisories),
  };
  const files = await commitHandedIn(blobs, uploads, request.files, by.name);
  const plan = await prepareRun(blobs, context.sources, loaded, {
    inputs: await inputValues(uploads, request.inputs),
    provider,
    scripted: provider === 'scripted' ? (request.scripted ?? { scenario: 'main', approvals: true }) : null,
    ...budgetOf(loaded, request, by),
    ...(request.priority === undefined ? {} : { priority: request.priority }),
    given,
    ...(files === undefined ? {} : { files }),
    ...(request.startAt === undefined ? {} : { startAt: startTime({ at: request.startAt }) }),
  });
  // A commit of the same files is another one each time, so that the files are compared and not the commit.
  const once =
    key === undefined
      ? {}
      : { once: { key, caller: `${by.kind}:${by.name}`, given: { ...given, files: request.files } } };
  return enqueueRun({ redis, prefix, store }, plan, once);
}

/** Only who may do everything may have a run spend more than its workflow says. */
function budgetOf({ workflow }: LoadedWorkflow, { budget }: Request, by: Principal): { budget?: Budget } {
  if (budget === undefined) return {};
  if (mayDo(by, 'admin')) return { budget };
  const { perDay: _, ...ofRun } = workflow.budget ?? {};
  return { budget: boundedBudget(ofRun, budget) };
}

function assertVersion({ workflow, digest }: LoadedWorkflow, wanted: string | undefined): void {
  if (wanted === undefined || digest === wanted) return;
  throw new FleetError('CONFLICT', `the workflow "${workflow.name}" is ${digest}, and not ${wanted}`, {
    remedy: 'Look at what has changed, then ask for that version.',
  });
}

async function givenFile(uploads: Uploads, file: Request['records']): Promise<GivenFile | undefined> {
  if (file === undefined || 'text' in file) return file;
  return { name: file.name, text: await uploads.readText(file.upload) };
}

async function inputValues(uploads: Uploads, inputs: Request['inputs']): Promise<InputValues> {
  const values = Object.entries(inputs).map(async ([name, value]): Promise<[string, InputValues[string]]> =>
    typeof value === 'object' ? [name, await uploads.readText(value.upload)] : [name, value],
  );
  return Object.fromEntries(await Promise.all(values));
}
