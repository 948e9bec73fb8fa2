import { z } from 'zod';

/** Where a file's bytes come from: the tool call that wrote them and the model message that asked for it. */
export const LineageEntry = z.strictObject({
  path: z.string(),
  /** Null when the call removed the file. */
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
  tool: z.string(),
  toolUseId: z.string(),
  messageId: z.string(),
});
export type LineageEntry = z.infer<typeof LineageEntry>;

/** A file as one tool call left it. */
export type FileChange = Pick<LineageEntry, 'path' | 'sha256'>;
