import { z } from 'zod';
import { Approval, Judgement } from './handoff.ts';
import { RunId } from './names.ts';
import { BlobRef } from './run-record.ts';
import { ArtifactResult, Finding, Measurement } from './verdict.ts';

export const RecordedReview = z.strictObject({ reviewer: z.string(), simulated: z.boolean(), judgement: Judgement });
export type RecordedReview = z.infer<typeof RecordedReview>;

/** Everything one round of gating a phase rests on, kept as one blob. */
export const RoundEvidence = z.strictObject({
  schemaVersion: z.literal(1),
  runId: RunId,
  phase: z.string(),
  round: z.number().int(),
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
});
export type RoundEvidence = z.infer<typeof RoundEvidence>;
