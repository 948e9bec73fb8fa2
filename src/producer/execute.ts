import { createHash } from 'node:crypto';
import type { z } from 'zod';
import { FleetError } from '../shared/errors.ts';
import { type RunId, RunId as RunIdSchema } from '../shared/names.ts';
import type { ExecuteRequest } from './api-schemas.ts';
import { enqueueRun } from './enqueue.ts';
import { prepareRun } from './prepare-run.ts';
import type { ServerContext } from './server-context.ts';
import { loadWorkflow } from './workflow-file.ts';

/** How long a repeated request with the same key is recognised. */
const KEY_SECONDS = 24 * 3600;

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
  const plan = await prepareRun(blobs, context.sources, loaded, {
    inputs: request.inputs,
    provider,
    scripted: provider === 'scripted' ? (request.scripted ?? { scenario: 'main', approvals: true }) : null,
    ...(request.budget === undefined ? {} : { budget: request.budget }),
    given: { records: request.records, advisories: request.advisories },
  });
  const target = { redis, prefix, store };
  if (key === undefined) return enqueueRun(target, plan);
  const claim = await claimKey(context, { workflow: name, key, request, runId: plan.runId });
  // A server that died after claiming the key leaves a claim without a run, or a run without jobs: this request adds
  // what is missing, by the plan that was stored first.
  const known = await store.findPlan(claim);
  return enqueueRun(target, known ?? { ...plan, runId: claim }, { repeatable: true });
}

const sha = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The run that a key stands for: this one when nobody used the key before. */
async function claimKey(
  { redis, prefix }: ServerContext,
  claim: { workflow: string; key: string; request: Request; runId: RunId },
): Promise<RunId> {
  const slot = `${prefix}:maestro:idempotency:${claim.workflow}:${sha(claim.key)}`;
  const body = sha(JSON.stringify(sortKeys(claim.request)));
  const value = `${body} ${claim.runId}`;
  const before = await redis.set(slot, value, 'EX', KEY_SECONDS, 'NX', 'GET');
  if (before === null) return claim.runId;
  const [bodyBefore, runBefore] = before.split(' ');
  if (bodyBefore !== body)
    throw new FleetError('CONFLICT', 'this Idempotency-Key was used before with another body', {
      remedy: 'Use a new key for a new request.',
    });
  return RunIdSchema.parse(runBefore);
}

/** The same document whatever the order its keys were sent in. */
function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, part]) => [name, sortKeys(part)]),
  );
}
