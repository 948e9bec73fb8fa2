import { encodeTime, monotonicFactory } from 'ulid';
import { z } from 'zod';

const nextUlid = monotonicFactory();

/** One execution of a workflow: a ULID, sortable by the time it was made. The same id everywhere. */
export const RunId = z
  .string()
  .regex(/^[0-9A-HJKMNP-TV-Z]{26}$/, 'a run id is a ULID of 26 characters')
  .brand<'RunId'>();
export type RunId = z.infer<typeof RunId>;
/** Ids of runs that were made before this time sort below it, and all others above. */
export const runIdBound = (timeMs: number): string => encodeTime(timeMs).padEnd(26, '0');
export const newRunId = (): RunId => RunId.parse(nextUlid());

/** Names of phases, personas, policies, gates, metrics and roles: lower case, digits, `_` and `-`. */
export const Name = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,62}$/, 'use lower-case letters, digits, "_" and "-", starting with a letter');

export const QUEUES = {
  runs: 'runs',
  gates: 'gates',
  edges: 'edges',
  approvals: 'approvals',
  schedules: 'schedules',
  webhooks: 'webhooks',
} as const;

/** How long and how many ended jobs stay to be looked at; seconds. */
export const KEEP = { age: 7 * 24 * 3600, count: 10_000 };

/** The queue a persona's jobs wait in. */
export const personaQueue = (persona: string): string => `persona.${persona}`;

/** What a persona's conversation is saved and paid for under: a resumed run goes on with the conversation it had. */
export const conversationIds = {
  work: (run: string, phase: string, persona: string, round: number): string => `${run}.${phase}.${persona}.r${round}`,
  review: (run: string, phase: string, persona: string, round: number): string =>
    `${run}.${phase}.${persona}.review.r${round}`,
};

/** A run, and how often it was taken up again. */
export interface RunTake {
  runId: string;
  generation: number;
}

/** The ids of a run's first jobs carry no generation; those of a later one never meet them in a queue. */
const inGeneration = (id: string, generation: number): string => (generation === 0 ? id : `${id}.g${generation}`);

/** Deterministic job ids, so that adding the same work twice does nothing. BullMQ forbids `:` and all digits. */
export const jobIds = {
  run: ({ runId, generation }: RunTake): string => inGeneration(`${runId}.run`, generation),
  gate: ({ runId, generation }: RunTake, phase: string): string => inGeneration(`${runId}.${phase}.gate`, generation),
  work: (take: RunTake, phase: string, persona: string, round: number): string =>
    inGeneration(conversationIds.work(take.runId, phase, persona, round), take.generation),
  review: (take: RunTake, phase: string, persona: string, round: number): string =>
    inGeneration(conversationIds.review(take.runId, phase, persona, round), take.generation),
  approval: ({ runId, generation }: RunTake, phase: string, role: string, round: number): string =>
    inGeneration(`${runId}.${phase}.${role}.approval.r${round}`, generation),
  fan: ({ runId, generation }: RunTake, phase: string): string => inGeneration(`${runId}.${phase}.fan`, generation),
  /** What is sent to one webhook of one event: the same whoever sends it. */
  delivery: (webhook: string, runId: string, seq: number): string => `${webhook}.${runId}.${seq}`,
  edge: ({ runId, generation }: RunTake, from: string, to: string, persona: string): string =>
    inGeneration(`${runId}.${from}.to.${to}.${persona}`, generation),
};
