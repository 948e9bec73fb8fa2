import { monotonicFactory } from 'ulid';
import { z } from 'zod';

const nextUlid = monotonicFactory();

/** One execution of a workflow: a ULID, sortable by the time it was made. The same id everywhere. */
export const RunId = z
  .string()
  .regex(/^[0-9A-HJKMNP-TV-Z]{26}$/, 'a run id is a ULID of 26 characters')
  .brand<'RunId'>();
export type RunId = z.infer<typeof RunId>;
export const newRunId = (): RunId => RunId.parse(nextUlid());

/** Names of phases, personas, policies, gates, metrics and roles: lower case, digits, `_` and `-`. */
export const Name = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,62}$/, 'use lower-case letters, digits, "_" and "-", starting with a letter');

export const QUEUES = { runs: 'runs', gates: 'gates', edges: 'edges', approvals: 'approvals' } as const;

/** How long and how many ended jobs stay to be looked at; seconds. */
export const KEEP = { age: 7 * 24 * 3600, count: 10_000 };

/** The queue a persona's jobs wait in. */
export const personaQueue = (persona: string): string => `persona.${persona}`;

/** Deterministic job ids, so that adding the same work twice does nothing. BullMQ forbids `:` and all digits. */
export const jobIds = {
  run: (run: string): string => `${run}.run`,
  gate: (run: string, phase: string): string => `${run}.${phase}.gate`,
  work: (run: string, phase: string, persona: string, round: number): string => `${run}.${phase}.${persona}.r${round}`,
  review: (run: string, phase: string, persona: string, round: number): string =>
    `${run}.${phase}.${persona}.review.r${round}`,
  approval: (run: string, phase: string, role: string, round: number): string =>
    `${run}.${phase}.${role}.approval.r${round}`,
  fan: (run: string, phase: string): string => `${run}.${phase}.fan`,
  edge: (run: string, from: string, to: string, persona: string): string => `${run}.${from}.to.${to}.${persona}`,
};
