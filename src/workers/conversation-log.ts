import type { Usage } from '../shared/run-record.ts';
import type { PersonaJob } from '../shared/jobs.ts';
import type { Fence } from '../shared/run-store.ts';
import type { AgentNote, AgentTurn } from './agent/agent-options.ts';
import type { WorkerContext } from './worker-context.ts';

interface Of {
  data: PersonaJob;
  fence: Fence;
}

const placeOf = ({ data: { phase, persona, kind, round } }: Of) => ({ phase, persona, kind, round });

/**
 * Counts a turn in the record of its phase and tells it in the run's log, in one step. A turn that has been counted is
 * told again by the worker that goes on from it, because the one before may have died first; it is counted once.
 */
export async function countTurn(
  ctx: WorkerContext,
  of: Of,
  done: AgentTurn,
  account: { phaseUsage(): Promise<Usage> },
): Promise<void> {
  const { turn, tools, call, usage, timing } = done;
  const { phase, persona, kind, round } = of.data;
  const talk = `${persona}.${kind}.r${round}`;
  const id = `${call.startedAt} ${call.messageId ?? ''}`;
  const answer = { model: call.modelAnswered ?? undefined, stopReason: call.stopReason ?? undefined };
  const event = { type: 'persona.turn', ...placeOf(of), turn, tools, usage, ...timing, ...answer } as const;
  // The account has seen every call, also those that a killed attempt could tell nobody of.
  const spent = await account.phaseUsage();
  await ctx.store.updatePhase(
    of.data.runId,
    phase,
    (record) =>
      record.counted?.[talk] === id
        ? null
        : {
            next: {
              ...record,
              // What was counted before calls stood in the account is never lowered.
              usage: isMore(spent, record.usage) ? spent : record.usage,
              simulated: record.simulated || call.simulated,
              counted: { ...record.counted, [talk]: id },
            },
            events: [event],
          },
    of.fence,
  );
}

const isMore = (spent: Usage, known: Usage): boolean =>
  spent.calls > known.calls &&
  (['inputTokens', 'outputTokens', 'cacheReadTokens', 'cacheWriteTokens'] as const).every(
    (of) => spent[of] >= known[of],
  );

/** Tells in the run's log what became of a conversation beside its turns. */
export async function tellNote(ctx: WorkerContext, of: Of, note: AgentNote): Promise<void> {
  const place = placeOf(of);
  const { turn } = note;
  const event =
    note.type === 'circling'
      ? ({ type: 'conversation.circling', ...place, turn, warning: note.warning } as const)
      : note.type === 'fallback'
        ? ({ ...note, ...place, type: 'model.fallback' } as const)
        : ({ ...note, ...place, type: 'conversation.compacted' } as const);
  await ctx.store.append(of.data.runId, [event], of.fence);
}

/** Tells in the run's log that what was saved of a conversation could not be gone on with. */
export async function tellRestart(ctx: WorkerContext, of: Of, reason: string): Promise<void> {
  ctx.logger.warn({ phase: of.data.phase, persona: of.data.persona, reason }, 'a conversation begins anew');
  await ctx.store.append(of.data.runId, [{ type: 'conversation.restarted', ...placeOf(of), reason }], of.fence);
}
