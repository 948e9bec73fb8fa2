import type { Job, Queue } from 'bullmq';
import { z } from 'zod';
import { FleetError } from '../shared/errors.ts';
import { Name, QUEUES, type RunId, type RunTake, jobIds, personaQueue } from '../shared/names.ts';
import type { PhaseRecord, PlannedPhase } from '../shared/run-record.ts';
import type { RunStore } from '../shared/run-store.ts';
import { BOARD_PATH, type FleetQueues } from './bull-board.ts';

export const PhaseJobs = z.strictObject({
  phase: Name,
  /** Newest first. Jobs that have left Redis are not among them. */
  jobs: z.array(
    z.strictObject({
      queue: z.string(),
      id: z.string(),
      name: z.string(),
      state: z.string(),
      /** How often it was tried. */
      attempts: z.number().int(),
      /** Its page in Bull Board. */
      href: z.string(),
    }),
  ),
});
export type PhaseJobs = z.infer<typeof PhaseJobs>;

interface Place {
  queue: string;
  id: string;
}

/** A phase that was run again and again has more jobs than anybody looks at: the newest are looked up. */
const MOST_PLACES = 200;

/** The jobs of a phase that are in Redis: those of its gates, and of its personas in every round. */
export async function phaseJobs(
  { store, queues }: { store: RunStore; queues: FleetQueues },
  runId: RunId,
  phase: string,
): Promise<PhaseJobs> {
  const [run, plan, record] = await Promise.all([
    store.getRun(runId),
    store.getPlan(runId),
    store.getPhase(runId, phase),
  ]);
  const planned = plan.phases.find(({ name }) => name === phase);
  if (planned === undefined) throw new FleetError('NOT_FOUND', `run ${runId} has no phase ${phase}`);
  const generations = Array.from({ length: run.generation + 1 }, (_, index) => run.generation - index);
  const places = generations.flatMap((generation) => placesOf({ runId, generation }, planned, record));
  const byName = new Map(queues.queues.map((queue) => [queue.name, queue]));
  const found = await Promise.all(places.slice(0, MOST_PLACES).map((place) => jobAt(byName.get(place.queue), place)));
  return { phase, jobs: found.flatMap((job) => (job === undefined ? [] : [job])) };
}

function placesOf(take: RunTake, { name, personas }: PlannedPhase, { round }: PhaseRecord): Place[] {
  const rounds = Array.from({ length: round + 1 }, (_, index) => round - index);
  return [
    { queue: QUEUES.gates, id: jobIds.gate(take, name) },
    ...rounds.flatMap((each) =>
      personas.map((persona) => ({ queue: personaQueue(persona), id: jobIds.work(take, name, persona, each) })),
    ),
  ];
}

async function jobAt(queue: Queue | undefined, { id }: Place): Promise<PhaseJobs['jobs'][number] | undefined> {
  const job: Job | undefined = await queue?.getJob(id);
  if (queue === undefined || job === undefined) return undefined;
  return {
    queue: queue.name,
    id,
    name: job.name,
    state: await job.getState(),
    attempts: job.attemptsMade,
    href: `${BOARD_PATH}/queue/${encodeURIComponent(queue.name)}/${encodeURIComponent(id)}`,
  };
}
