import { z } from 'zod';
import { Approval } from './handoff.ts';
import { Name, RunId } from './names.ts';
import { Answer, AskedQuestion, QuestionId } from './question.ts';
import { PhaseVerdict } from './verdict.ts';
import { Budget, Concurrency, InputValues, ListSource, Priority } from './workflow-schema.ts';

/** `replay`: the answers come from the recording of an earlier run. */
export const ProviderName = z.enum(['anthropic', 'scripted', 'replay']);
export type ProviderName = z.infer<typeof ProviderName>;

/** The sha256 of a blob's bytes, in hex: its address in the blob store. */
export const BlobRef = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .brand<'BlobRef'>();
export type BlobRef = z.infer<typeof BlobRef>;

/** A commit and the bundle that carries it. */
export const CommitRef = z.strictObject({ commit: z.string(), bundle: BlobRef });
export type CommitRef = z.infer<typeof CommitRef>;

const ItemValue = z.union([z.string(), z.number(), z.boolean()]);
/** One item of a list that a phase is repeated over: a value, or an object of values. */
export const ListItem = z.union([ItemValue, z.record(z.string(), ItemValue)]);
export type ListItem = z.infer<typeof ListItem>;

/** A phase as planned: every default filled in, nothing left to look up. */
export const PlannedPhase = z.strictObject({
  name: Name,
  needs: z.array(Name),
  personas: z.array(Name).min(1),
  /** The policy's name, or null for `policy: none`. */
  policy: Name.nullable(),
  /** True when `custom_component` stands in for a phase that no policy names. */
  policyFallback: z.boolean(),
  approvalRole: Name.nullable(),
  /** Everybody who must approve before the phase hands on: its own `approval` and the roles its policy asks. */
  approvalRoles: z.array(Name),
  model: z.string(),
  /** The model that is asked instead when this one is overloaded; none, unless the workflow names it. */
  fallback: z.string().optional(),
  attempts: z.number().int(),
  rework: z.number().int(),
  timeoutMs: z.number().int(),
  description: z.string(),
  /** What stands before the names of the sub-workflow it belongs to. */
  prefix: z.string().optional(),
  /** Expressions that must all hold for it to run; each reads the names behind its prefix. */
  conditions: z.array(z.strictObject({ text: z.string(), prefix: z.string() })).optional(),
  /** One instance for each entry of the one list, or for each combination of the entries of a matrix. */
  repeat: z
    .strictObject({
      lists: z.record(z.string(), ListSource),
      isMatrix: z.boolean(),
      parallel: z.number().int().nullable(),
    })
    .optional(),
  /** For an instance: the phase it was made of, and the entry it was made for. */
  instance: z.strictObject({ of: Name, item: ListItem }).optional(),
  /** The group it takes a place in while it runs. */
  concurrency: Concurrency.optional(),
});
export type PlannedPhase = z.infer<typeof PlannedPhase>;

/** What a run was started with; never changed afterwards. */
export const RunPlan = z.strictObject({
  schemaVersion: z.literal(1),
  runId: RunId,
  workflow: Name,
  workflowDigest: z.string(),
  /** The blob that holds workflow, personas and policies as they were at the start. */
  definitions: BlobRef,
  inputs: InputValues,
  provider: ProviderName,
  budget: Budget,
  /** What all runs of the workflow together may spend in a day (UTC). */
  dayBudget: Budget.optional(),
  /** Whether every call is recorded, to be replayed later. */
  isRecorded: z.boolean().optional(),
  /** Only with the provider `replay`: what is played, who gave its answers, and whether a stand-in did. */
  cassette: z
    .strictObject({ ref: BlobRef, provider: z.enum(['anthropic', 'scripted']), simulated: z.boolean() })
    .optional(),
  /** Only with the scripted provider: which scenario it plays, and whether a scripted person approves (shown as simulated). */
  scripted: z.strictObject({ scenario: z.string(), approvals: z.boolean() }).nullable(),
  /** What its sub-workflows were given, by their prefix. */
  parts: z.record(z.string(), InputValues).optional(),
  priority: Priority.optional(),
  /** The group that the whole run takes a place in. */
  concurrency: Concurrency.optional(),
  /** The phase it starts from, and the files that stand for the work of the phases before it, which are not run. */
  startFrom: z.strictObject({ phase: Name, given: CommitRef.nullable() }).optional(),
  /** Files that were handed in: the workspace of every phase that needs no other begins with them. */
  files: CommitRef.optional(),
  phases: z.array(PlannedPhase).min(1),
  createdAt: z.string(),
  /** When it is to start, for a run that waits for its time. */
  startAt: z.iso.datetime().optional(),
});
export type RunPlan = z.infer<typeof RunPlan>;

/** Runs on a real provider are counted apart from those that cannot cost anything. */
export const spendKindOf = (plan: Pick<RunPlan, 'provider'>): 'paid' | 'free' =>
  plan.provider === 'anthropic' ? 'paid' : 'free';

type Answering = Pick<RunPlan, 'provider' | 'cassette'>;
/** Whether no real model gives the answers of a run; a replayed script is a script all the same. */
export const isSimulatedRun = ({ provider, cassette }: Answering): boolean =>
  provider === 'scripted' || cassette?.simulated === true;
/** Whether the answers of a run come from a recording. */
export const isReplayedRun = ({ provider }: Pick<RunPlan, 'provider'>): boolean => provider === 'replay';

/** For a record that says it beside `simulated`: nothing where no recording had a part. */
export const replayedMark = (isReplayed: boolean | undefined): { replayed?: true } =>
  isReplayed === true ? { replayed: true } : {};

/** Why something was not made by a real model now, a word for each reason. */
export const originWords = (of: { simulated: boolean; replayed?: boolean | undefined }): string[] => [
  ...(of.replayed === true ? ['replayed'] : []),
  ...(of.simulated ? ['simulated'] : []),
];

/** What stands beside the name of whatever belongs to a run: empty for a real one. */
export function originMark(run: Parameters<typeof originWords>[0]): string {
  const words = originWords(run);
  return words.length === 0 ? '' : ` [${words.join(', ')}]`;
}

/** The inputs of the workflow that a phase is written in. */
export const inputsOf = (plan: Pick<RunPlan, 'inputs' | 'parts'>, prefix = ''): InputValues =>
  prefix === '' ? plan.inputs : (plan.parts?.[prefix] ?? {});

/** The priority that every job of a run has in its queue; none is the most urgent, and the cheapest. */
export const priorityOf = ({ priority }: Pick<RunPlan, 'priority'>): { priority?: number } =>
  priority === undefined ? {} : { priority };

/** The name a phase is written with in its workflow file. */
export const writtenName = (phase: Pick<PlannedPhase, 'name' | 'prefix' | 'instance'>): string =>
  (phase.instance?.of ?? phase.name).slice((phase.prefix ?? '').length);

export const OpenRun = z.enum(['queued', 'running', 'awaiting_approval', 'paused']);
export const EndedRun = z.enum(['passed', 'passed_with_warnings', 'blocked', 'failed', 'cancelled']);
export const RunStatus = z.enum([...OpenRun.options, ...EndedRun.options]);
export type RunStatus = z.infer<typeof RunStatus>;
export const TERMINAL_RUN: readonly RunStatus[] = EndedRun.options;

export const ActivePhase = z.enum(['running', 'awaiting_approval']);
export const EndedPhase = z.enum([
  'passed',
  'passed_with_warnings',
  'not_gated',
  'blocked',
  'failed',
  'cancelled',
  'skipped',
  'not_started',
]);
export const PhaseStatus = z.enum(['waiting', ...ActivePhase.options, ...EndedPhase.options]);
export type PhaseStatus = z.infer<typeof PhaseStatus>;
export const TERMINAL_PHASE: readonly PhaseStatus[] = EndedPhase.options;
/** Statuses a dependent phase may start from: a skipped phase hands on what it was given. */
export const OPEN_PHASE: readonly PhaseStatus[] = ['passed', 'passed_with_warnings', 'not_gated', 'skipped'];

/** Token counts and dollars. `costUsd` is null when a price is unknown; it is never guessed. */
export const Usage = z.strictObject({
  calls: z.number().int(),
  inputTokens: z.number().int(),
  outputTokens: z.number().int(),
  cacheReadTokens: z.number().int(),
  cacheWriteTokens: z.number().int(),
  costUsd: z.number().nullable(),
});
export type Usage = z.infer<typeof Usage>;
export const NO_USAGE: Usage = {
  calls: 0,
  inputTokens: 0,
  outputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  costUsd: 0,
};
/** Without the last digits of a binary sum: the finest amount that is kept is a millionth of a dollar. */
const exact = (usd: number): number => Number(usd.toFixed(9));
export const addUsage = (a: Usage, b: Usage): Usage => ({
  calls: a.calls + b.calls,
  inputTokens: a.inputTokens + b.inputTokens,
  outputTokens: a.outputTokens + b.outputTokens,
  cacheReadTokens: a.cacheReadTokens + b.cacheReadTokens,
  cacheWriteTokens: a.cacheWriteTokens + b.cacheWriteTokens,
  costUsd: a.costUsd === null || b.costUsd === null ? null : exact(a.costUsd + b.costUsd),
});

/** One round of gating a phase: what was measured and decided. Kept for every round. */
export const RoundRecord = z.strictObject({
  round: z.number().int().nonnegative(),
  verdict: PhaseVerdict,
  findings: z.number().int(),
  /** Hash of the files that were measured. */
  tree: z.string().optional(),
  /** Measurements, findings and collector reports of this round, as one JSON blob. */
  evidence: BlobRef,
  /** The work that was judged: what a resumed run judges again, and what a person may mend. */
  candidate: CommitRef.optional(),
  at: z.string(),
});
export type RoundRecord = z.infer<typeof RoundRecord>;

const phaseShape = {
  phase: Name,
  /** Why it ended as it did, in one line; empty while it is under way or when it passed. */
  reason: z.string(),
  round: z.number().int().nonnegative(),
  /** The round it began with when the run was last taken up: rework is counted from here. */
  firstRound: z.number().int().nonnegative().default(0),
  /** Work that was judged as it is in that round: a person's edits, or what had been blocked before. */
  given: CommitRef.optional(),
  /** Attempts of its persona jobs that ended in a fault, over all rounds; rework is counted in rounds. */
  faults: z.number().int().nonnegative().default(0),
  rounds: z.array(RoundRecord),
  /** The commit and git bundle this phase hands on. */
  commit: z.string().nullable(),
  bundle: BlobRef.nullable(),
  /** One handoff blob per persona, latest round. */
  handoffs: z.record(Name, BlobRef),
  transcripts: z.record(z.string(), BlobRef),
  /** The call that gave the last turn which was counted, by conversation: no turn is counted twice. */
  counted: z.record(z.string(), z.string()).optional(),
  usage: Usage,
  simulated: z.boolean(),
};
/** A phase as it stands: it has not begun, is under way, or has ended. */
export const PhaseRecord = z.discriminatedUnion('status', [
  z.strictObject({ ...phaseShape, status: z.literal('waiting'), startedAt: z.null(), finishedAt: z.null() }),
  z.strictObject({ ...phaseShape, status: ActivePhase, startedAt: z.string(), finishedAt: z.null() }),
  z.strictObject({ ...phaseShape, status: EndedPhase, startedAt: z.string().nullable(), finishedAt: z.string() }),
]);
export type PhaseRecord = z.infer<typeof PhaseRecord>;

const runShape = {
  runId: RunId,
  workflow: Name,
  /** Everybody who has a part in it, for those who look for their runs. */
  personas: z.array(Name).optional(),
  reason: z.string(),
  provider: ProviderName,
  simulated: z.boolean(),
  /** The answers came from a recording. */
  replayed: z.boolean().optional(),
  /** What it may spend, when that was changed since it was planned. */
  budget: Budget.optional(),
  createdAt: z.string(),
  startedAt: z.string().nullable(),
};
const openRun = { ...runShape, status: OpenRun, finishedAt: z.null() };
const endedRun = { ...runShape, status: EndedRun, finishedAt: z.string() };
const derived = {
  /** How often the run was taken up again after it had ended. */
  generation: z.number().int().nonnegative().default(0),
  usage: Usage,
};
/** What is stored of a run; its generation stands beside it, and its usage is the sum of its phases'. */
export const StoredRun = z.discriminatedUnion('status', [z.strictObject(openRun), z.strictObject(endedRun)]);
export type StoredRun = z.infer<typeof StoredRun>;
/** A run as it stands: it is under way, or has ended. */
export const RunRecord = z.discriminatedUnion('status', [
  z.strictObject({ ...openRun, ...derived }),
  z.strictObject({ ...endedRun, ...derived }),
]);
export type RunRecord = z.infer<typeof RunRecord>;

const base = { seq: z.number().int().positive(), at: z.string(), runId: RunId };
/** One entry of a run's append-only log. */
export const RunEvent = z.discriminatedUnion('type', [
  z.strictObject({ ...base, type: z.literal('run.queued'), workflow: Name, simulated: z.boolean() }),
  z.strictObject({ ...base, type: z.literal('run.status'), status: RunStatus, reason: z.string() }),
  z.strictObject({
    ...base,
    type: z.literal('run.resumed'),
    generation: z.number().int().positive(),
    /** The phases that are run again; the others stay as they ended. */
    phases: z.array(Name),
    reason: z.string(),
  }),
  z.strictObject({
    ...base,
    type: z.literal('phase.status'),
    phase: Name,
    status: PhaseStatus,
    round: z.number().int(),
    reason: z.string(),
  }),
  z.strictObject({
    ...base,
    type: z.literal('persona.turn'),
    phase: Name,
    persona: Name,
    kind: z.enum(['work', 'review']),
    round: z.number().int(),
    turn: z.number().int(),
    tools: z.array(z.string()),
    usage: Usage,
    /** When the turn began: before it waited for its place among the fleet's calls. */
    startedAt: z.iso.datetime().optional(),
    /** How long it waited for that place, how long the model took to answer, and how long the tools then ran. */
    waitedMs: z.number().nonnegative().optional(),
    modelMs: z.number().nonnegative().optional(),
    toolMs: z.number().nonnegative().optional(),
    /** The model that answered, and why it stopped. */
    model: z.string().optional(),
    stopReason: z.string().optional(),
  }),
  z.strictObject({
    ...base,
    type: z.literal('persona.done'),
    phase: Name,
    persona: Name,
    kind: z.enum(['work', 'review']),
    round: z.number().int(),
    summary: z.string(),
    simulated: z.boolean(),
  }),
  z.strictObject({
    ...base,
    type: z.literal('persona.fault'),
    phase: Name,
    persona: Name,
    round: z.number().int(),
    attempt: z.number().int(),
    message: z.string(),
    final: z.boolean(),
  }),
  z.strictObject({
    ...base,
    type: z.literal('model.waiting'),
    phase: Name,
    persona: Name,
    kind: z.enum(['work', 'review']),
    round: z.number().int(),
    model: z.string(),
    host: z.string(),
    reason: z.string(),
    until: z.string(),
    /** Whether the job gave its worker back meanwhile. */
    parked: z.boolean(),
  }),
  z.strictObject({
    ...base,
    type: z.literal('conversation.compacted'),
    phase: Name,
    persona: Name,
    kind: z.enum(['work', 'review']),
    round: z.number().int(),
    turn: z.number().int(),
    /** What the model had to read before, and what it has to read now. */
    fromTokens: z.number().int().nonnegative(),
    toTokens: z.number().int().nonnegative(),
    /** The conversation as it was: nothing of it is lost. */
    conversation: BlobRef.optional(),
  }),
  z.strictObject({
    ...base,
    type: z.literal('conversation.restarted'),
    phase: Name,
    persona: Name,
    kind: z.enum(['work', 'review']),
    round: z.number().int(),
    /** Why what was saved could not be gone on with. */
    reason: z.string(),
  }),
  z.strictObject({
    ...base,
    type: z.literal('conversation.circling'),
    phase: Name,
    persona: Name,
    kind: z.enum(['work', 'review']),
    round: z.number().int(),
    turn: z.number().int(),
    /** What was said to the model: it is ended when that does not help. */
    warning: z.string(),
  }),
  z.strictObject({
    ...base,
    type: z.literal('model.fallback'),
    phase: Name,
    persona: Name,
    kind: z.enum(['work', 'review']),
    round: z.number().int(),
    turn: z.number().int(),
    /** The model that was overloaded, and the one that goes on with the conversation. */
    from: z.string(),
    to: z.string(),
    reason: z.string(),
  }),
  z.strictObject({ ...base, type: z.literal('gates.started'), phase: Name, round: z.number().int() }),
  /** Calls of tools that the persona does not have, or that reached for what it may not touch. */
  z.strictObject({
    ...base,
    type: z.literal('persona.refused'),
    phase: Name,
    persona: Name,
    kind: z.enum(['work', 'review']),
    round: z.number().int(),
    tools: z.array(z.string()),
  }),
  /** Files that more than one changed at the same time. */
  z.strictObject({
    ...base,
    type: z.literal('files.shared'),
    phase: Name,
    round: z.number().int(),
    files: z.array(
      z.strictObject({
        file: z.string(),
        /** False where the changes did not fit together. */
        merged: z.boolean(),
        message: z.string(),
      }),
    ),
  }),
  z.strictObject({
    ...base,
    type: z.literal('gate.verdict'),
    phase: Name,
    round: z.number().int(),
    verdict: PhaseVerdict,
  }),
  z.strictObject({
    ...base,
    type: z.literal('rework.requested'),
    phase: Name,
    round: z.number().int(),
    findings: z.number().int(),
    headline: z.string(),
  }),
  z.strictObject({ ...base, type: z.literal('approval.requested'), phase: Name, role: Name }),
  z.strictObject({ ...base, type: z.literal('approval.recorded'), approval: Approval }),
  z.strictObject({ ...base, type: z.literal('question.asked'), ...AskedQuestion.shape }),
  z.strictObject({
    ...base,
    type: z.literal('question.answered'),
    phase: Name,
    persona: Name,
    round: z.number().int(),
    id: QuestionId,
    answer: Answer,
  }),
  /** Nobody waits for an answer any more: its phase has ended, or its conversation has begun anew. */
  z.strictObject({
    ...base,
    type: z.literal('question.withdrawn'),
    phase: Name,
    persona: Name,
    round: z.number().int(),
    id: QuestionId,
    reason: z.string(),
  }),
  z.strictObject({
    ...base,
    type: z.literal('run.finished'),
    status: RunStatus,
    reason: z.string(),
    simulated: z.boolean(),
  }),
]);
export type RunEvent = z.infer<typeof RunEvent>;
type WithoutBase<T> = T extends unknown ? Omit<T, 'seq' | 'at' | 'runId'> : never;
export type NewRunEvent = WithoutBase<RunEvent>;
