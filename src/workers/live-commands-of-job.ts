import type { PersonaJob } from '../shared/jobs.ts';
import { type LivePlace, dropLiveCommand, putLiveCommand } from '../shared/live-commands.ts';
import { type RunPlan, isReplayedRun, replayedMark } from '../shared/run-record.ts';
import type { Fence } from '../shared/run-store.ts';
import { type LiveCommands, liveCommands } from './agent/live-command.ts';
import { keysOf } from './models/redact.ts';
import { conversationId } from './saved-files.ts';
import type { WorkerContext } from './worker-context.ts';

/** Shows the commands of a job's conversation beside its run, as long as this attempt holds the job. */
export function liveCommandsOf(
  ctx: WorkerContext,
  { plan, data, fence }: { plan: RunPlan; data: PersonaJob; fence: Fence },
): LiveCommands {
  const { runId, phase, persona, kind, round, simulated } = data;
  const of = { phase, persona, kind, round, simulated, ...replayedMark(isReplayedRun(plan)) };
  const { redis, config, logger } = ctx;
  const place: LivePlace = { redis, prefix: config.prefix, runId, conversation: conversationId(data), fence };
  return liveCommands({
    keys: keysOf(ctx),
    put: (command) => putLiveCommand(place, { ...of, ...command }),
    drop: () => dropLiveCommand(place),
    logger: logger.child({ runId, phase, persona }),
  });
}
