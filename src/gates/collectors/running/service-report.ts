import { z } from 'zod';

/** What run-service is given. */
export const ServiceInput = z.strictObject({
  socket: z.string(),
  /** The parsed API document; null when there is none, so that only health and metrics are looked at. */
  document: z.record(z.string(), z.unknown()).nullable(),
  load: z.strictObject({ requests: z.number().int(), concurrency: z.number().int(), ms: z.number() }),
});
export type ServiceInput = z.infer<typeof ServiceInput>;

/** What one operation answered. */
export const OperationReport = z.strictObject({
  method: z.string(),
  path: z.string(),
  /** How many requests were sent to it. */
  calls: z.number().int(),
  /** True when it answered something other than 404, 405 or 501 to a proper request. */
  implemented: z.boolean(),
  problems: z.array(z.strictObject({ rule: z.string(), message: z.string() })),
});
export type OperationReport = z.infer<typeof OperationReport>;

/** What run-service prints. Times in milliseconds. */
export const ServiceReport = z.strictObject({
  operations: z.array(OperationReport),
  health: z.strictObject({ path: z.string().nullable(), seen: z.string() }),
  metrics: z.strictObject({ ok: z.boolean(), samples: z.number().int(), seen: z.string() }),
  smoke: z.array(z.strictObject({ name: z.string(), ok: z.boolean(), seen: z.string() })),
  load: z.strictObject({
    sent: z.number().int(),
    failed: z.number().int(),
    medianMs: z.number().nullable(),
    p95Ms: z.number().nullable(),
    elapsedMs: z.number(),
  }),
});
export type ServiceReport = z.infer<typeof ServiceReport>;
