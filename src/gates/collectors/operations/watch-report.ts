import { z } from 'zod';

/** What ops-watch is given. */
export const WatchInput = z.strictObject({
  socket: z.string(),
  /** The parsed API document; null when there is none. */
  document: z.record(z.string(), z.unknown()).nullable(),
  /** How long the health check is probed. */
  windowMs: z.number(),
});
export type WatchInput = z.infer<typeof WatchInput>;

/** A series of /metrics. */
export const Series = z.strictObject({ metric: z.string(), labels: z.record(z.string(), z.string()) });
export type Series = z.infer<typeof Series>;

/** What ops-watch prints. */
export const WatchReport = z.strictObject({
  healthPath: z.string().nullable(),
  uptime: z.strictObject({ ms: z.number(), probes: z.number().int(), failed: z.number().int() }),
  metrics: z.strictObject({ seen: z.string(), types: z.record(z.string(), z.string()), series: z.array(Series) }),
  operations: z.array(
    z.strictObject({
      method: z.string(),
      path: z.string(),
      /** Why it could not be called; null when it was. */
      problem: z.string().nullable(),
      /** Counting series that grew by exactly the calls that were made. */
      moved: z.array(Series),
    }),
  ),
});
export type WatchReport = z.infer<typeof WatchReport>;
