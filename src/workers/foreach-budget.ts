import { FleetError } from '../shared/errors.ts';
import { priceOf } from '../shared/model-config.ts';
import { findPersona } from '../shared/persona-files.ts';
import { type PlannedPhase, type RunPlan, spendKindOf } from '../shared/run-record.ts';
import { worstMicros } from '../shared/worst-case.ts';
import { accountFor } from './account-of-job.ts';
import type { WorkerContext } from './worker-context.ts';

/** No ordinary text or code has more tokens than this for its bytes. */
const BYTES_PER_TOKEN = 2;

/**
 * Throws `BUDGET_EXCEEDED` unless what is left of every budget would cover the first call of each persona of each
 * instance, at its worst: what its persona and the instance are told, and the longest answer that the persona may give.
 * It is the least that the instances can be started with side by side; what they need beyond it is not known before.
 */
export async function assertInstancesAffordable(
  ctx: WorkerContext,
  plan: RunPlan,
  phase: PlannedPhase,
  instances: readonly PlannedPhase[],
): Promise<void> {
  const [persona = ''] = phase.personas;
  const account = await accountFor(ctx, plan, { phase: phase.name, persona, kind: 'work', round: 0 });
  if (!account.isLimited) return;
  const { definitions } = await ctx.definitions.get(plan.definitions);
  const terms = { price: priceOf(ctx.models, phase.model), simulated: spendKindOf(plan) === 'free' };
  const wanted = { tokens: 0, micros: 0 };
  for (const { description, personas } of instances)
    for (const name of personas) {
      const found = findPersona(definitions.personas, name);
      if (found === undefined) throw new FleetError('INTERNAL', `the run's definitions hold no persona "${name}"`);
      const told = Buffer.byteLength(found.prompt) + Buffer.byteLength(description);
      const worst = { inputTokens: Math.ceil(told / BYTES_PER_TOKEN), outputTokens: found.maxTokensPerTurn };
      wanted.tokens += worst.inputTokens + worst.outputTokens;
      // A price that nobody knows is told when a call is made; a limit in tokens counts all the same.
      wanted.micros += worstMicros(worst, terms) ?? 0;
    }
  await account.assertFree(wanted, `the first call of each of its ${instances.length} instances together`);
}
