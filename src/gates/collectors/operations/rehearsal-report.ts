import { z } from 'zod';

/** What ops-deploy is given. */
export const RehearsalInput = z.strictObject({
  previous: z.string(),
  next: z.string(),
  /** The parsed API document; null when there is none, so that only health is looked at. */
  document: z.record(z.string(), z.unknown()).nullable(),
  soakMs: z.number(),
});
export type RehearsalInput = z.infer<typeof RehearsalInput>;

/** What ops-deploy asks of the fleet, one word a line on stderr: only the fleet can start and end instances. */
export const START_NEXT = 'rehearsal: start the next instance';
export const STOP_PREVIOUS = 'rehearsal: stop the previous instance';

const Check = z.strictObject({ name: z.string(), ok: z.boolean(), seen: z.string() });

/** What ops-deploy prints. Times in milliseconds. */
export const RehearsalReport = z.strictObject({
  /** Where the service says that it is healthy; null when nowhere. */
  healthPath: z.string().nullable(),
  /** Why the replacement did not come to its end; null when it did. */
  stoppedAt: z.string().nullable(),
  /** From the order to start the next instance until the previous one was gone. */
  deploymentMs: z.number().nullable(),
  smoke: z.array(Check),
  /** From the order to start the next instance until the end of the soak. */
  probed: z.strictObject({ probes: z.number().int(), failed: z.number().int(), downMs: z.number() }),
  soak: z.strictObject({
    ms: z.number(),
    probes: z.number().int(),
    failed: z.number().int(),
    /** Runs of failed probes, and smoke checks that no longer held. */
    incidents: z.array(z.string()),
  }),
});
export type RehearsalReport = z.infer<typeof RehearsalReport>;
