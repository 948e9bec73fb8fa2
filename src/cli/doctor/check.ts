import { FleetError, errorMessage } from '../../shared/errors.ts';
import { createLogger } from '../../shared/logger.ts';

/** `warning`: work goes on, and somebody should know. `skipped`: what it looks at is not there, and that is said. */
export type Outcome = 'ok' | 'warning' | 'failed' | 'skipped';

export interface Check {
  name: string;
  outcome: Outcome;
  ok: boolean;
  detail: string;
  remedy: string;
}

export type Found = { detail: string; warning?: string } | string;

/** A part that cannot be used, and what to do. */
export const unusable = (message: string, remedy: string): FleetError =>
  new FleetError('TOOL_UNAVAILABLE', message, { remedy });

/** Looks at one part. Whatever goes wrong is the answer; it never ends the others. */
export async function look(name: string, at: () => Promise<Found>): Promise<Check> {
  try {
    const found = await at();
    const { detail, warning } = typeof found === 'string' ? { detail: found, warning: undefined } : found;
    return { name, outcome: warning === undefined ? 'ok' : 'warning', ok: true, detail, remedy: warning ?? '' };
  } catch (err) {
    const remedy = err instanceof FleetError ? (err.remedy ?? '') : '';
    return { name, outcome: 'failed', ok: false, detail: errorMessage(err), remedy };
  }
}

export const skipped = (name: string, why: string): Check => ({
  name,
  outcome: 'skipped',
  ok: true,
  detail: why,
  remedy: '',
});

export const quiet = () => createLogger({ level: 'silent', name: 'doctor' });
