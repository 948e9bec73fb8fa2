import { z } from 'zod';
import { GivenFile } from '../shared/definitions.ts';
import { HandedInFiles } from './handed-in-files.ts';
import { Approval } from '../shared/handoff.ts';
import { Name, RunId } from '../shared/names.ts';
import { Question } from '../shared/question.ts';
import { RoundEvidence } from '../shared/round-evidence.ts';
import {
  BlobRef,
  PhaseRecord,
  PhaseStatus,
  PlannedPhase,
  ProviderName,
  RunEvent,
  RunRecord,
  RunStatus,
} from '../shared/run-record.ts';
import { PhaseVerdict, VerdictWord } from '../shared/verdict.ts';
import { Budget, InputSpec, InputValues, Priority, WorkflowBudget } from '../shared/workflow-schema.ts';

/** Everything that crosses HTTP. The server, the client and the OpenAPI document read these. */

export const RunLinks = z.strictObject({
  self: z.string(),
  events: z.string(),
  gates: z.string(),
  artifacts: z.string(),
  report: z.string(),
  evidence: z.string(),
  page: z.string(),
});

/** A file that was sent to POST /api/uploads. */
const UploadRef = z.strictObject({ upload: BlobRef });
const GivenHere = z.union([GivenFile, UploadRef.extend({ name: GivenFile.shape.name })]);

export const ExecuteRequest = z.strictObject({
  /** Values by name; a text may be the content of an upload. */
  inputs: z.record(z.string(), z.union([InputValues.valueType, UploadRef])).default({}),
  /** Files that the first workspaces begin with, by their path there. */
  files: HandedInFiles.default({}),
  /** The version of the workflow; the newest when left out. */
  workflowDigest: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/, 'give the digest as `sha256:` and 64 hex digits')
    .optional(),
  /** Which model provider plays the personas; the server's own default when left out. */
  provider: ProviderName.exclude(['replay']).optional(),
  /** Only with the scripted provider: what it plays, and whether a scripted person approves. All of it reads `simulated`. */
  scripted: z.strictObject({ scenario: Name.default('main'), approvals: z.boolean().default(true) }).optional(),
  budget: Budget.optional(),
  priority: Priority.optional(),
  /** Exported records of the service in operation. */
  records: GivenHere.optional(),
  /** A snapshot of known vulnerabilities of packages. */
  advisories: GivenHere.optional(),
  /** When the run is to start, with a time zone; at once, when left out. */
  startAt: z.iso.datetime({ offset: true }).optional(),
});
export type ExecuteRequest = z.input<typeof ExecuteRequest>;

export const ExecuteResponse = z.strictObject({ runId: RunId, status: RunStatus, links: RunLinks });
export type ExecuteResponse = z.infer<typeof ExecuteResponse>;

export const WorkflowSummary = z.strictObject({
  name: Name,
  description: z.string(),
  /** Of its file: names this version. */
  digest: z.string(),
  /** Whether it was uploaded, or ships. */
  uploaded: z.boolean(),
  inputs: z.record(z.string(), InputSpec),
  /** What each of its runs may spend, and all of them in a day. */
  budget: WorkflowBudget.optional(),
  phases: z.array(z.strictObject({ name: Name, needs: z.array(Name), personas: z.array(Name) })),
});
export type WorkflowSummary = z.infer<typeof WorkflowSummary>;
export const WorkflowList = z.strictObject({
  workflows: z.array(WorkflowSummary),
  /** Who plays the personas of a run whose request does not say. */
  provider: ProviderName,
  /** Files that cannot be used, and why. */
  invalid: z.array(z.strictObject({ name: z.string(), reason: z.string() })),
});
export type WorkflowList = z.infer<typeof WorkflowList>;

const Moment = z.iso.datetime({ offset: true });
const ListOfStatuses = z
  .string()
  .transform((text) => text.split(','))
  .pipe(z.array(RunStatus).min(1));
export const RunListQuery = z.strictObject({
  /** From `next` of the page before. */
  cursor: RunId.optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  /** One status, or several with commas between them. */
  status: ListOfStatuses.optional(),
  workflow: Name.optional(),
  /** Who has a part in it. */
  persona: Name.optional(),
  /** Runs with a phase that stands at this verdict now. */
  verdict: VerdictWord.optional(),
  /** Made at this time or later, such as 2027-01-31T18:00:00Z. */
  from: Moment.optional(),
  /** Made before this time. */
  to: Moment.optional(),
});
export const RunList = z.strictObject({
  runs: z.array(RunRecord),
  /** Null on the last page; a page may be short, or empty, and not be the last. */
  next: RunId.nullable(),
  /** Runs that another version stored and this one cannot read. */
  unreadable: z.array(z.string()),
});
export type RunList = z.infer<typeof RunList>;

/** A phase that failed for good: its attempts are used up, or its work was lost or stuck. */
export const DeadLetter = z.strictObject({
  runId: RunId,
  workflow: Name,
  runStatus: RunStatus,
  simulated: z.boolean(),
  replayed: z.boolean().optional(),
  phase: Name,
  /** Whose last attempt failed; null when no persona's did. */
  persona: Name.nullable(),
  attempts: z.number().int().nullable(),
  /** What the last attempt broke off with. */
  error: z.string(),
  /** Why the phase failed. */
  reason: z.string(),
  at: z.string(),
});
export const DeadLetters = z.strictObject({ dead: z.array(DeadLetter) });

/** What happened to any run, with its place in the log of the whole fleet. */
export const FleetEvent = z.strictObject({
  cursor: z.string(),
  workflow: Name,
  simulated: z.boolean(),
  replayed: z.boolean().optional(),
  event: RunEvent,
});
export type FleetEvent = z.infer<typeof FleetEvent>;

/** Types of events, of those that exist. */
export const EVENT_TYPES = RunEvent.options.map((option) => option.shape.type.value);
export const EventType = z.enum(EVENT_TYPES);
const ListOfEventTypes = z
  .string()
  .transform((text) => text.split(','))
  .pipe(z.array(EventType).min(1));
export const RunEventsQuery = z.strictObject({
  /** For clients that cannot send the header. */
  lastEventId: z.string().optional(),
});

export const FleetEventsQuery = z.strictObject({
  /** Types of events, with commas between them. */
  types: ListOfEventTypes.default([
    'run.queued',
    'run.status',
    'run.resumed',
    'run.finished',
    'phase.status',
    'gate.verdict',
  ]),
  workflow: Name.optional(),
  ...RunEventsQuery.shape,
});
export type FleetEventsQuery = z.infer<typeof FleetEventsQuery>;

const GroupWait = z.strictObject({
  phase: Name,
  group: z.string(),
  limit: z.number().int(),
  /** Who has the places: runs, and phases of runs. */
  holders: z.array(z.strictObject({ runId: z.string(), phase: z.string().nullable() })),
  /** How many are before it. */
  ahead: z.number().int().nonnegative(),
});
export type GroupWait = z.infer<typeof GroupWait>;

export const RunDetail = z.strictObject({
  run: RunRecord,
  inputs: InputValues,
  budget: Budget,
  workflowDigest: z.string(),
  plan: z.array(PlannedPhase),
  phases: z.array(PhaseRecord),
  approvals: z.array(Approval),
  /** What personas asked people; a conversation waits for those without an answer. */
  questions: z.array(Question),
  /** When a run that waits for its time is to start. */
  startAt: z.string().nullable(),
  /** It has left Redis: it can be read, and not be changed. */
  archived: z.boolean(),
  /** Phases that are held up because their group, or that of the whole run, has no place free. */
  waits: z.array(GroupWait),
  links: RunLinks,
});
export type RunDetail = z.infer<typeof RunDetail>;

const GateRound = z.strictObject({
  round: z.number().int(),
  at: z.string(),
  findings: z.number().int(),
  verdict: PhaseVerdict,
});
export const RunGates = z.strictObject({
  runId: RunId,
  status: RunStatus,
  simulated: z.boolean(),
  replayed: z.boolean().optional(),
  phases: z.array(
    z.strictObject({
      phase: Name,
      status: PhaseStatus,
      /** Null when the phase is not gated. */
      policy: Name.nullable(),
      policyFallback: z.boolean(),
      rounds: z.array(GateRound),
    }),
  ),
});
export type RunGates = z.infer<typeof RunGates>;

const BlobLink = z.strictObject({ ref: BlobRef, href: z.string() });
export const RunArtifacts = z.strictObject({
  runId: RunId,
  simulated: z.boolean(),
  replayed: z.boolean().optional(),
  phases: z.array(
    z.strictObject({
      phase: Name,
      commit: z.string().nullable(),
      /** A git bundle: `git clone FILE` makes a repository of it. */
      bundle: BlobLink.nullable(),
      handoffs: z.record(z.string(), BlobLink),
      transcripts: z.record(z.string(), BlobLink),
    }),
  ),
});
export type RunArtifacts = z.infer<typeof RunArtifacts>;

export const RunEvidence = z.strictObject({
  runId: RunId,
  simulated: z.boolean(),
  replayed: z.boolean().optional(),
  rounds: z.array(RoundEvidence),
});
export type RunEvidence = z.infer<typeof RunEvidence>;

const Tally = z.strictObject({
  passed: z.number().int(),
  failed: z.number().int(),
  error: z.number().int(),
  bypassed: z.number().int(),
});
export const RunReport = z.strictObject({
  run: RunRecord,
  /** Over the last round of every phase. */
  gates: Tally,
  criteria: Tally,
  /** Why it is not green: one line per failed or unevaluable gate and criterion, missing artifact and failed phase. */
  blockers: z.array(z.strictObject({ phase: Name, severity: z.enum(['BLOCKING', 'WARNING']), message: z.string() })),
  phases: z.array(
    z.strictObject({
      phase: Name,
      status: PhaseStatus,
      reason: z.string(),
      personas: z.array(Name),
      policy: Name.nullable(),
      policyFallback: z.boolean(),
      rounds: z.number().int(),
      seconds: z.number().nullable(),
      commit: z.string().nullable(),
      simulated: z.boolean(),
      verdict: PhaseVerdict.nullable(),
    }),
  ),
});
export type RunReport = z.infer<typeof RunReport>;

/** Who decides. Which token vouches for it is added by the server, and cannot be claimed. */
const By = z
  .string()
  .trim()
  .min(1)
  .max(200)
  .regex(/^(?!.*\(token\s)/is, 'leave out "(token ": the server adds which token vouches for it');

export const ApprovalRequest = z.strictObject({
  role: Name,
  by: By,
  decision: z.enum(['approved', 'rejected']).default('approved'),
  note: z.string().max(10_000).default(''),
  /** The round that was looked at, counted from 0; refused when the phase is at another one by now. */
  round: z.number().int().min(0).optional(),
});
export type ApprovalRequest = z.input<typeof ApprovalRequest>;

export const AnswerRequest = z.strictObject({
  by: By,
  text: z.string().trim().min(1).max(20_000),
});
export type AnswerRequest = z.input<typeof AnswerRequest>;

export const CancelRequest = z.strictObject({
  reason: z.string().trim().min(1).max(1_000).default('cancelled by request'),
});
export const PauseRequest = z.strictObject({
  reason: z.string().trim().min(1).max(1_000).default('paused by request'),
});
export const PauseResponse = z.strictObject({ runId: RunId, status: RunStatus, paused: z.boolean() });
export type PauseResponse = z.infer<typeof PauseResponse>;

const Reason = z.string().trim().max(1_000).default('');
export const ResumeRequest = z.strictObject({
  reason: Reason,
  /** What the run may spend from now on, in all. */
  budget: Budget.optional(),
});
export type ResumeRequest = z.input<typeof ResumeRequest>;
export const RetryRequest = z
  .strictObject({
    /** One phase that did not pass. */
    phase: Name.optional(),
    /** A phase and all after it, whether they passed or not. */
    from: Name.optional(),
    reason: Reason,
    budget: Budget.optional(),
  })
  .refine(({ phase, from }) => (phase === undefined) !== (from === undefined), {
    message: 'give either `phase` or `from`',
  });
export type RetryRequest = z.input<typeof RetryRequest>;
export const ResumeResponse = z.strictObject({
  runId: RunId,
  generation: z.number().int(),
  /** The phases that are run again; none when a paused run simply goes on. */
  phases: z.array(Name),
  /** False when the run was under way. */
  changed: z.boolean(),
});
export type ResumeResponse = z.infer<typeof ResumeResponse>;

export const CancelResponse = z.strictObject({ runId: RunId, status: RunStatus, cancelled: z.boolean() });
export type CancelResponse = z.infer<typeof CancelResponse>;

export const Health = z.strictObject({ status: z.literal('ok') });
export const Readiness = z.strictObject({
  status: z.enum(['ready', 'unavailable']),
  checks: z.record(z.string(), z.strictObject({ ok: z.boolean(), message: z.string() })),
});

/** RFC 9457. */
export const Problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  code: z.string(),
  detail: z.string(),
  remedy: z.string().optional(),
  /** As in `X-Request-Id` and the server's log. */
  requestId: z.string().optional(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
});
export type Problem = z.infer<typeof Problem>;
