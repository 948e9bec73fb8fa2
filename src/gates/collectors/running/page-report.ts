import { z } from 'zod';

export const PageInput = z.strictObject({
  socket: z.string(),
  browser: z.strictObject({ executablePath: z.string(), args: z.array(z.string()) }),
  /** Folder for screenshots. */
  out: z.string(),
  components: z.array(z.strictObject({ name: z.string(), selector: z.string() })),
});
export type PageInput = z.infer<typeof PageInput>;

/** What run-page prints. */
export const PageReport = z.strictObject({
  browser: z.string(),
  status: z.number().int(),
  loadMs: z.number(),
  components: z.array(
    z.strictObject({ name: z.string(), selector: z.string(), visible: z.boolean(), seen: z.string() }),
  ),
  axe: z.strictObject({
    version: z.string(),
    passes: z.number().int(),
    violations: z.array(
      z.strictObject({ id: z.string(), impact: z.string(), help: z.string(), nodes: z.array(z.string()) }),
    ),
  }),
  screenshots: z.array(z.string()),
  problems: z.array(z.string()),
});
export type PageReport = z.infer<typeof PageReport>;
