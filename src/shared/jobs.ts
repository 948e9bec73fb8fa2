import { z } from 'zod';
import { Name, RunId } from './names.ts';
import { BlobRef, CommitRef, PhaseStatus, ProviderName, RunStatus, Usage } from './run-record.ts';
import { Finding, PhaseVerdict } from './verdict.ts';

const common = {
  schemaVersion: z.literal(1),
  runId: RunId,
  /** Which taking-up of the run this job belongs to; a job of an earlier one does nothing any more. */
  generation: z.number().int().nonnegative().default(0),
  simulated: z.boolean(),
};
/** Whether it may hold places in groups, which are given back when it ends. */
const places = z.boolean().optional();

/** Job data of a persona queue: author a phase's work, or review it. Everything else is in the run's plan. */
export const PersonaJob = z.strictObject({
  ...common,
  phase: Name,
  persona: Name,
  kind: z.enum(['work', 'review']),
  round: z.number().int().nonnegative(),
  /** For a review: the metrics to judge. */
  metrics: z.array(Name),
  /** For a review or a rework round: the work to judge or to go on from. */
  base: CommitRef.nullable(),
  /** For a rework round: the evidence blob of the round that was blocked. */
  evidence: BlobRef.nullable(),
});
export type PersonaJob = z.infer<typeof PersonaJob>;

/** Return value of a persona job. */
export const PersonaResult = z.strictObject({
  phase: Name,
  persona: Name,
  kind: z.enum(['work', 'review']),
  round: z.number().int(),
  commit: z.string().nullable(),
  bundle: BlobRef.nullable(),
  /** A `Handoff` (work) or a `Review` (review), as a JSON blob. */
  handoff: BlobRef,
  transcript: BlobRef,
  /** Where the hand-off contradicts what is there. */
  findings: z.array(Finding),
  usage: Usage,
  provider: ProviderName,
  simulated: z.boolean(),
});
export type PersonaResult = z.infer<typeof PersonaResult>;

/** Where a phase begins. */
export const PhaseStart = z.strictObject({
  round: z.number().int().nonnegative(),
  /** The blocked work to go on from, and what was found in it. */
  base: CommitRef.nullable(),
  evidence: BlobRef.nullable(),
  /** Work to judge as it is, before any persona does anything. */
  given: CommitRef.nullable(),
  /** Work of this round that was done already. */
  done: z.array(PersonaResult),
});
export type PhaseStart = z.infer<typeof PhaseStart>;
export const FRESH: PhaseStart = { round: 0, base: null, evidence: null, given: null, done: [] };

/** Job data of the `gates` queue: close one phase. */
export const GateJob = z.strictObject({
  ...common,
  phase: Name,
  places,
  /** Work that is judged as it is, without a persona doing anything first: what a resumed run goes on from. */
  given: CommitRef.nullable().default(null),
  /** Personas whose work of this round was done before the run was resumed. */
  done: z.array(PersonaResult).default([]),
  /** For a repeated phase of a resumed run: where those of its instances begin that are run again. */
  starts: z.record(Name, PhaseStart).optional(),
  /** What was measured in a round, kept while the job waits for reviews or approvals of that round. */
  measured: z
    .strictObject({ round: z.number().int(), evidence: BlobRef, candidate: CommitRef, conflicts: z.array(z.string()) })
    .nullable(),
});
export type GateJob = z.infer<typeof GateJob>;
export const GateJobResult = z.strictObject({ phase: Name, status: PhaseStatus, verdict: PhaseVerdict.nullable() });
export type GateJobResult = z.infer<typeof GateJobResult>;

/** Progress of a gate job: each round's verdict travels in the job's own events. */
export const GateProgress = z.strictObject({
  runId: RunId,
  phase: Name,
  round: z.number().int(),
  verdict: PhaseVerdict,
});
export type GateProgress = z.infer<typeof GateProgress>;

/** Job data of the `edges` queue. */
export const EdgeJob = z.discriminatedUnion('kind', [
  z.strictObject({ ...common, kind: z.literal('fan'), from: Name }),
  z.strictObject({ ...common, kind: z.literal('edge'), from: Name, to: Name, persona: Name }),
]);
export type EdgeJob = z.infer<typeof EdgeJob>;

/** Job data of the `approvals` queue: parked until a person decides; holds no worker. */
export const ApprovalJob = z.strictObject({ ...common, phase: Name, role: Name, round: z.number().int() });
export type ApprovalJob = z.infer<typeof ApprovalJob>;

/** Job data of the `runs` queue: the root of a run's flow. */
export const RunJob = z.strictObject({ ...common, workflow: Name, places });
export type RunJob = z.infer<typeof RunJob>;
export const RunJobResult = z.strictObject({ status: RunStatus, reason: z.string() });
