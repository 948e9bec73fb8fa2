import { putJson } from '../shared/blob-store.ts';
import { FleetError } from '../shared/errors.ts';
import type { PersonaJob } from '../shared/jobs.ts';
import type { Fence } from '../shared/run-store.ts';
import type { SavedWork } from './agent/checkpoint-store.ts';
import { refusedEvents } from './refused-calls.ts';
import type { WorkerContext } from './worker-context.ts';

/** Whether nothing can be built on the conversation that ended so: whoever tries again begins a new one. */
const isHopeless = (err: unknown): boolean =>
  err instanceof FleetError && (err.code === 'AGENT_STUCK' || err.code === 'MODEL_REFUSED');

/** Keeps what was said in a conversation that led nowhere, for people to read, and forgets it as work to go on with. */
export async function abandonIfHopeless(
  ctx: WorkerContext,
  { data, fence, attempt }: { data: PersonaJob; fence: Fence; attempt: { number: number } },
  saved: SavedWork,
  err: unknown,
): Promise<void> {
  const last = saved.latest();
  if (!isHopeless(err) || last === null) return;
  const { messages, calls, lineage, refusedCalls, compactions } = last;
  const talk = { schemaVersion: 1, messages, calls, lineage, refusedCalls, compactions, resumed: 'fresh' };
  const transcript = await putJson(ctx.blobs, talk);
  const name = `${data.persona}.${data.kind}.r${data.round}.a${attempt.number}`;
  await ctx.store.updatePhase(
    data.runId,
    data.phase,
    (record) => ({
      next: { ...record, transcripts: { ...record.transcripts, [name]: transcript } },
      events: refusedEvents(refusedCalls, data),
    }),
    fence,
  );
  await saved.clear();
}
