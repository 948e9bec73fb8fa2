import { z } from 'zod';
import { type BlobReader, getJson } from '../../shared/blob-store.ts';
import type { RunStatement } from '../../shared/evidence/statement.ts';

const Transcript = z.looseObject({
  calls: z.array(
    z.looseObject({
      outcome: z.string(),
      messageId: z.string().nullable(),
      requestId: z.string().nullable(),
      requestSha256: z.string().nullable(),
      responseSha256: z.string().nullable(),
      simulated: z.boolean(),
      replayed: z.boolean().optional(),
    }),
  ),
  lineage: z.array(
    z.looseObject({ path: z.string(), sha256: z.string().nullable(), tool: z.string(), messageId: z.string() }),
  ),
});

/** What a conversation says of its calls and of the files it wrote. */
export interface Talk extends z.infer<typeof Transcript> {
  phase: string;
  /** `persona.kind.round`. */
  name: string;
}

/** The conversations of a run, those that led nowhere among them. */
export async function readTalks(blobs: BlobReader, { predicate }: RunStatement): Promise<Talk[]> {
  const talks: Talk[] = [];
  for (const { phase, transcripts } of predicate.phases)
    for (const [name, ref] of Object.entries(transcripts)) {
      const { calls, lineage } = await getJson(blobs, ref, Transcript);
      talks.push({ phase, name, calls, lineage });
    }
  return talks;
}
