import { z } from 'zod';
import { Name } from './names.ts';

/** How one value came about. Nothing here is ever written by the persona whose work is measured. */
export const Evidence = z.strictObject({
  kind: z.enum(['command', 'file', 'review', 'approval', 'http', 'browser', 'record', 'supplied']),
  /** One readable sentence: what was looked at and what was seen. */
  summary: z.string(),
  /** The command line, as run inside the sandbox. */
  command: z.string().optional(),
  exitCode: z.number().int().nullable().optional(),
  tool: z.string().optional(),
  toolVersion: z.string().optional(),
  durationMs: z.number().optional(),
  /** Report file name inside the evidence folder, and the sha256 of its bytes. */
  report: z.string().optional(),
  reportSha256: z.string().optional(),
  /** Git tree hash of what was measured. */
  tree: z.string().optional(),
  /** `bwrap`, `container`, or `off`. */
  sandbox: z.string().optional(),
});
export type Evidence = z.infer<typeof Evidence>;

/** Something a person or a persona can act on, with its place in the files where there is one. */
export const Finding = z.strictObject({
  metric: Name.optional(),
  /** The collector or tool rule that raised it, e.g. `eslint/no-unused-vars` or `stub/empty-body`. */
  rule: z.string(),
  message: z.string(),
  severity: z.enum(['error', 'warning', 'info']),
  file: z.string().optional(),
  line: z.number().int().positive().optional(),
  column: z.number().int().positive().optional(),
  /** Who is to act on it: the persona, or the owner by CODEOWNERS, whose file it is. Absent when that is nobody. */
  persona: z.string().optional(),
});
export type Finding = z.infer<typeof Finding>;

const collectorOf = { metric: Name, collector: z.string(), collectorVersion: z.string(), evidence: z.array(Evidence) };

/** The reading of one metric: a finite number with its evidence, or the reason why there is none. */
export const Measurement = z.discriminatedUnion('status', [
  z.strictObject({
    status: z.literal('measured'),
    ...collectorOf,
    value: z.number(),
    /** How many things were examined (tests, lines, files, operations, criteria). */
    examined: z.number().int().nonnegative(),
    source: z.enum(['collector', 'review', 'approval', 'supplied']),
    /** True when a simulated model or a scripted person had a part in this very value. */
    simulated: z.boolean(),
  }),
  z.strictObject({ status: z.literal('not_evaluable'), ...collectorOf, reason: z.string() }),
]);
export type Measurement = z.infer<typeof Measurement>;

export const Severity = z.enum(['BLOCKING', 'WARNING']);
export type Severity = z.infer<typeof Severity>;
export const GateOutcome = z.enum(['passed', 'failed', 'error', 'bypassed']);
export type GateOutcome = z.infer<typeof GateOutcome>;
export const Direction = z.enum(['min', 'max']);

const SourcedValue = z.strictObject({
  value: z.number().nullable(),
  source: z.enum(['collector', 'review', 'approval', 'supplied', 'none']),
  simulated: z.boolean(),
});

export const GateResult = z.strictObject({
  gate: Name,
  condition: z.string(),
  severity: Severity,
  outcome: GateOutcome,
  values: z.record(z.string(), SourcedValue),
  /** One line: which metric, which value, what was required. */
  message: z.string(),
});
export type GateResult = z.infer<typeof GateResult>;

export const CriterionResult = z.strictObject({
  criterion: Name,
  /** The value it was held against; null for a relative criterion that has no baseline. */
  threshold: z.number().nullable(),
  direction: Direction,
  severity: Severity,
  outcome: GateOutcome,
  value: z.number().nullable(),
  source: SourcedValue.shape.source,
  simulated: z.boolean(),
  message: z.string(),
});
export type CriterionResult = z.infer<typeof CriterionResult>;

export const ArtifactResult = z.strictObject({
  artifact: Name,
  required: z.boolean(),
  outcome: z.enum(['present', 'missing', 'not_supplied']),
  files: z.array(z.string()),
  message: z.string(),
});
export type ArtifactResult = z.infer<typeof ArtifactResult>;

export const TargetResult = z.strictObject({
  metric: Name,
  condition: z.string(),
  outcome: z.enum(['met', 'missed', 'not_measured', 'not_supplied']),
  value: z.number().nullable(),
  message: z.string(),
});
export type TargetResult = z.infer<typeof TargetResult>;

export const VerdictWord = z.enum(['passed', 'passed_with_warnings', 'blocked', 'not_gated']);
export type VerdictWord = z.infer<typeof VerdictWord>;

/** A bypass that was asked for this phase, and what became of it when the phase was judged. */
export const BypassResult = z.strictObject({
  id: z.string(),
  /** The exit gate or success criterion. */
  gate: Name,
  /** `applied`: it let a failed gate through. `not_needed`: nothing failed. `refused`: it does not count. */
  outcome: z.enum(['applied', 'not_needed', 'refused']),
  requestedBy: z.string(),
  approvedBy: z.string().nullable(),
  role: Name,
  reason: z.string(),
  until: z.string(),
  adrSha256: z.string(),
  message: z.string(),
});
export type BypassResult = z.infer<typeof BypassResult>;

/** One line of a persona's contract, held against what was measured of the phase. */
export const ContractResult = z.strictObject({
  /** Whose contract; `all` for what holds for every phase. */
  persona: Name,
  kind: z.enum(['gate', 'artifact', 'deliverable']),
  name: Name,
  metric: Name.nullable(),
  /** What was asked for. */
  required: z.string(),
  severity: Severity,
  outcome: GateOutcome,
  value: z.number().nullable(),
  source: SourcedValue.shape.source,
  simulated: z.boolean(),
  message: z.string(),
});
export type ContractResult = z.infer<typeof ContractResult>;

/** The one record that decides whether a phase may hand on its work. */
export const PhaseVerdict = z.strictObject({
  phase: z.string(),
  policy: z.string(),
  /** True when no policy names this phase and `custom_component` was used. */
  fallback: z.boolean(),
  verdict: VerdictWord,
  gates: z.array(GateResult),
  criteria: z.array(CriterionResult),
  artifacts: z.array(ArtifactResult),
  targets: z.array(TargetResult),
  errors: z.array(
    z.strictObject({
      gate: Name.optional(),
      criterion: Name.optional(),
      /** The persona whose contract it is an error of. */
      persona: Name.optional(),
      metric: z.string(),
      reason: z.string(),
    }),
  ),
  /** True when a simulated model had a part in what was judged. */
  simulated: z.boolean(),
  /** True when what was judged was made with the answers of a recording. */
  replayed: z.boolean().optional(),
  /** The contracts of the personas that worked in the phase; absent where nobody is known to have. */
  contracts: z.array(ContractResult).optional(),
  /** Only where bypasses were asked for. */
  bypasses: z.array(BypassResult).optional(),
  /** What is wrong with the log of bypasses, where somebody touched it: then none counts. */
  brokenBypassLog: z.string().optional(),
  /** What relative criteria were compared with: null when there was none, absent when the policy has no such criterion. */
  baseline: z.strictObject({ source: z.string(), tree: z.string(), at: z.string() }).nullable().optional(),
  /** sha256 over the policy files, overlay included. */
  policyDigest: z.string().optional(),
});
export type PhaseVerdict = z.infer<typeof PhaseVerdict>;
