import type { z } from 'zod';
import { FleetError } from '../shared/errors.ts';
import type { RunId } from '../shared/names.ts';
import type { ExecuteRequest } from './api-schemas.ts';
import { enqueueRun } from './enqueue.ts';
import { prepareRun } from './prepare-run.ts';
import type { ServerContext } from './server-context.ts';
import { startTime } from './start-time.ts';
import { loadWorkflow } from './workflow-file.ts';

type Request = z.infer<typeof ExecuteRequest>;

/** Plans and enqueues a run of a shipped workflow. With a key, asking again gives the run that the first time made. */
export async function executeWorkflow(
  context: ServerContext,
  name: string,
  request: Request,
  key: string | undefined,
): Promise<RunId> {
  const { packageRoot, blobs, redis, prefix, store } = context;
  const provider = request.provider ?? context.provider;
  if (provider !== 'scripted' && request.scripted !== undefined)
    throw new FleetError('BAD_INPUT', '`scripted` is only possible with the scripted provider');
  const loaded = await loadWorkflow(name, { cwd: packageRoot, packageRoot });
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
