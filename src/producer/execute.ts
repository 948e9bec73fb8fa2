import type { z } from 'zod';
import type { BlobStore } from '../shared/blob-store.ts';
import { FleetError } from '../shared/errors.ts';
import type { RunId } from '../shared/names.ts';
import type { ProviderName } from '../shared/run-record.ts';
import type { ExecuteRequest } from './api-schemas.ts';
import type { RunSources } from './definitions-builder.ts';
import type { EnqueueTarget } from './enqueue-target.ts';
import { enqueueRun } from './enqueue.ts';
import { prepareRun } from './prepare-run.ts';
import { startTime } from './start-time.ts';
import type { WorkflowCache } from './workflow-cache.ts';

type Request = z.infer<typeof ExecuteRequest>;

/** Where runs are made, and from what. */
export interface ExecuteContext extends EnqueueTarget {
  workflows: WorkflowCache;
  blobs: BlobStore;
  sources: RunSources;
  /** Who plays the personas when a request does not say. */
  provider: ProviderName;
}

/** Plans and enqueues a run of a workflow. With a key, asking again gives the run that the first time made. */
export async function executeWorkflow(
  context: ExecuteContext,
  name: string,
  request: Request,
  key: string | undefined,
): Promise<RunId> {
  const { workflows, blobs, redis, prefix, store } = context;
  const provider = request.provider ?? context.provider;
  if (provider !== 'scripted' && request.scripted !== undefined)
    throw new FleetError('BAD_INPUT', '`scripted` is only possible with the scripted provider');
  const loaded = await workflows.load(name);
  const given = { records: request.records, advisories: request.advisories };
  const plan = await prepareRun(blobs, context.sources, loaded, {
    inputs: request.inputs,
    provider,
    scripted: provider === 'scripted' ? (request.scripted ?? { scenario: 'main', approvals: true }) : null,
    ...(request.budget === undefined ? {} : { budget: request.budget }),
    ...(request.priority === undefined ? {} : { priority: request.priority }),
    given,
    ...(request.startAt === undefined ? {} : { startAt: startTime({ at: request.startAt }) }),
  });
  return enqueueRun({ redis, prefix, store }, plan, key === undefined ? {} : { once: { key, given } });
}
