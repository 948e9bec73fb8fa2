import { z } from 'zod';

const CheckName = z.enum(['signature', 'blobs', 'records', 'calls', 'files', 'verdicts', 'outcome', 'origin']);

/** One thing that was checked of a run's evidence. */
export const EvidenceCheck = z.strictObject({
  check: CheckName,
  outcome: z.enum(['held', 'violated']),
  /** How many things were looked at. */
  examined: z.number().int().nonnegative(),
  /** What was looked at, in words. */
  of: z.string(),
  /** What does not hold, a line each; empty when it holds. */
  problems: z.array(z.string()),
});
export type EvidenceCheck = z.infer<typeof EvidenceCheck>;

/** A check from what was found: it holds when no problem was. */
export const checked = (
  check: EvidenceCheck['check'],
  of: string,
  { examined, problems }: Pick<EvidenceCheck, 'examined' | 'problems'>,
): EvidenceCheck => ({ check, of, examined, outcome: problems.length === 0 ? 'held' : 'violated', problems });

/** A record as it is written: what is not there is left out. */
export const asWritten = (record: unknown): unknown => JSON.parse(JSON.stringify(record));
