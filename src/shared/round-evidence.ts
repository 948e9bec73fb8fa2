import { z } from 'zod';
import { Baseline } from './baseline.ts';
import { Bypass } from './bypass-log.ts';
import { Approval, Judgement } from './handoff.ts';
import { RunId } from './names.ts';
import { BlobRef } from './run-record.ts';
import { ArtifactResult, Evidence, Finding, Measurement } from './verdict.ts';

export const RecordedReview = z.strictObject({ reviewer: z.string(), simulated: z.boolean(), judgement: Judgement });
export type RecordedReview = z.infer<typeof RecordedReview>;

/** A statement of a persona beside what was measured. No gate reads it; a contradiction is a finding. */
export const Claim = z.strictObject({
  persona: z.string(),
  claim: z.string(),
  /** What was measured or recorded of the same thing, or that nothing measures it. */
  measured: z.string(),
  contradicted: z.boolean(),
  /** True when it means that the job is not done, whatever it says: then the phase is blocked. */
  blocks: z.boolean(),
});
export type Claim = z.infer<typeof Claim>;

/** A check of the fleet's own that holds for every gated phase, whatever its policy says. */
export const IntegrityCheck = z.strictObject({
  check: z.enum([
    'tests_mean_something',
    'handed_down_tests',
    'measurement_untouched',
    'claims_hold',
    'handoff_complete',
  ]),
  /** `violated` and `error` block. */
  outcome: z.enum(['held', 'violated', 'error', 'not_applicable']),
  examined: z.number().int().nonnegative(),
  message: z.string(),
  evidence: z.array(Evidence),
});
export type IntegrityCheck = z.infer<typeof IntegrityCheck>;

/** Who worked in a phase, and what is there of the things that their persona files say they hand on. */
export const PersonaWork = z.strictObject({
  personas: z.array(z.string()),
  deliverables: z.array(
    z.strictObject({
      persona: z.string(),
      deliverable: z.string(),
      paths: z.array(z.string()),
      /** How many files match. */
      files: z.number().int().nonnegative(),
      /** What they lack of what the persona's file says they must hold. */
      problems: z.array(z.string()).optional(),
      /** None of the files is the work of this phase or of this persona: an earlier phase left them, or the run was given them. */
      asFound: z.enum(['left', 'given']).optional(),
    }),
  ),
});
export type PersonaWork = z.infer<typeof PersonaWork>;

/** Everything one round of gating a phase rests on, kept as one blob. */
export const RoundEvidence = z.strictObject({
  schemaVersion: z.literal(1),
  runId: RunId,
  phase: z.string(),
  round: z.number().int(),
  /** True when personas and reviewers answered from the recording of an earlier run. */
  replayed: z.boolean().optional(),
  /** The commit that was measured, and the hash of its files. */
  commit: z.string(),
  tree: z.string(),
  sandbox: z.string(),
  measurements: z.array(Measurement),
  findings: z.array(Finding),
  artifacts: z.array(ArtifactResult),
  /** Collector reports, each kept as a blob of its own (its address is its sha256). */
  reports: z.array(z.strictObject({ name: z.string(), blob: BlobRef, bytes: z.number().int() })),
  reviews: z.array(RecordedReview),
  approvals: z.array(Approval),
  integrity: z.array(IntegrityCheck).default([]),
  claims: z.array(Claim).default([]),
  /** Only for gated phases. */
  work: PersonaWork.optional(),
  /** What else the verdict rests on, as it was at that moment: with it the same verdict can be reached again. */
  judgedWith: z
    .strictObject({
      now: z.string(),
      bypasses: z.array(Bypass),
      brokenBypassLog: z.string().optional(),
      baseline: Baseline.nullable(),
      /** Work that did not fit together, a line each; absent in rounds that were judged before it was kept. */
      conflicts: z.array(z.string()).optional(),
    })
    .optional(),
});
export type RoundEvidence = z.infer<typeof RoundEvidence>;
