import { z } from 'zod';
import { FleetError } from './errors.ts';

/** The version of jobs and plans that this program writes and understands. */
const KNOWN = 1;
const Versioned = z.looseObject({ schemaVersion: z.number().int() });

/**
 * Throws `UNKNOWN_VERSION` for a job or plan that another version of the program wrote. Whoever meets one leaves it as
 * it is for a program that knows it.
 */
export function assertKnownVersion(what: string, value: unknown): void {
  const read = Versioned.safeParse(value);
  if (!read.success || read.data.schemaVersion === KNOWN) return;
  throw new FleetError(
    'UNKNOWN_VERSION',
    `${what} has schema version ${read.data.schemaVersion}; this maestro knows version ${KNOWN}`,
    { retry: true, remedy: 'Start a worker of the version that made it, or a newer one.' },
  );
}
