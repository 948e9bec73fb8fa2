import { type BlobStore, getJson, putJson } from '../shared/blob-store.ts';
import { Cassette } from '../shared/cassette.ts';
import { FleetError } from '../shared/errors.ts';
import { contextTokensOf, endpointOf, priceOf } from '../shared/model-config.ts';
import { Recent } from '../shared/recent.ts';
import { runKey } from '../shared/run-keys.ts';
import type { BlobRef, PlannedPhase, RunPlan } from '../shared/run-record.ts';
import type { AgentOptions } from './agent/agent-options.ts';
import { type ModelProvider, openProvider, openReplay } from './models/provider.ts';
import { recordCalls } from './models/record-calls.ts';
import { keysOf, redactor } from './models/redact.ts';
import { type LoadedCassette, indexCassette, replayFetch } from './models/replay-calls.ts';
import type { WorkerContext } from './worker-context.ts';

/** Cassettes are big, and every conversation of a replay reads the same one. */
const loaded = new Recent<Promise<LoadedCassette>>(4);

function loadCassette(blobs: BlobStore, ref: BlobRef): Promise<LoadedCassette> {
  const known = loaded.get(ref);
  if (known !== undefined) return known;
  const loading = getJson(blobs, ref, Cassette).then(indexCassette);
  loaded.set(ref, loading);
  loading.catch(() => loaded.delete(ref));
  return loading;
}

/** Who answers the calls of a run: its provider, which may be recorded, or a recording. */
export async function providerFor(ctx: WorkerContext, plan: RunPlan, model: string): Promise<ModelProvider> {
  const { config, redis, blobs } = ctx;
  const key = (part: 'recorded' | 'played'): string => runKey(config.prefix, plan.runId, part);
  if (plan.provider === 'replay') {
    if (plan.cassette === undefined) throw new FleetError('INTERNAL', `run ${plan.runId} replays nothing`);
    const { ref, simulated } = plan.cassette;
    const nthOf = async (fingerprint: string): Promise<number> =>
      (await redis.hincrby(key('played'), fingerprint, 1)) - 1;
    const fetch = replayFetch(await loadCassette(blobs, ref), nthOf);
    return openReplay({ fetch, simulated, host: `recording:${ref.slice(0, 8)}` });
  }
  const endpoint = plan.provider === 'scripted' ? undefined : endpointOf(ctx.models, model);
  const found = endpoint === undefined ? undefined : { ...endpoint, key: ctx.endpointKeys?.[endpoint.keyEnv] };
  const provider = openProvider({ name: plan.provider, config, endpoint: found });
  if (plan.isRecorded !== true) return provider;
  const recorder = recordCalls(
    async (recording) => {
      await redis.rpush(key('recorded'), await putJson(blobs, recording));
    },
    redactor(keysOf(ctx)),
  );
  const client = provider.client.withOptions({ middleware: [...provider.client.middleware, recorder] });
  return { ...provider, client };
}

/** Who goes on when the model of a phase is overloaded: nobody, unless the workflow names one. */
export async function fallbackFor(
  ctx: WorkerContext,
  plan: RunPlan,
  { fallback: model }: PlannedPhase,
): Promise<Pick<AgentOptions<unknown>, 'fallback'>> {
  if (model === undefined) return {};
  const provider = await providerFor(ctx, plan, model);
  const contextTokens = contextTokensOf(ctx.models, model);
  return { fallback: { model, provider, price: priceOf(ctx.models, model), contextTokens } };
}
