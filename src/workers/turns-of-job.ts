import type { PersonaJob } from '../shared/jobs.ts';
import { limitsOf, parkAfterMs } from '../shared/model-config.ts';
import { TERMINAL_RUN } from '../shared/run-record.ts';
import type { Fence } from '../shared/run-store.ts';
import { ModelTurns, waitText } from './models/model-turns.ts';
import type { WorkerContext } from './worker-context.ts';

/** The turns of the job's calls; a wait is told in the run's log. */
export function turnsOf(ctx: WorkerContext, { data, fence }: { data: PersonaJob; fence: Fence }): ModelTurns {
  const { runId, phase, persona, kind, round } = data;
  return new ModelTurns({
    redis: ctx.redis,
    prefix: ctx.config.prefix,
    limitsOf: (model) => limitsOf(ctx.models, model),
    parkAfterMs: parkAfterMs(ctx.models),
    logger: ctx.logger,
    onWait: async (wait) => {
      const { model, host, parks: parked } = wait;
      const until = new Date(Date.now() + wait.ms).toISOString();
      const where = { phase, persona, kind, round };
      const event = { type: 'model.waiting', ...where, model, host, reason: waitText(wait), until, parked } as const;
      await ctx.store.append(runId, [event], fence);
    },
    isDue: async () => {
      const standing = await ctx.store.getStanding(runId);
      return (
        standing === undefined || standing.generation !== data.generation || TERMINAL_RUN.includes(standing.status)
      );
    },
  });
}
