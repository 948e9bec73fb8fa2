import type { IntegrityCheck } from '../../shared/round-evidence.ts';
import type { PhaseVerdict } from '../../shared/verdict.ts';

/** What the checks of integrity add to a verdict: nothing, or the reasons why it is blocked. */
export const integrityErrors = (checks: readonly IntegrityCheck[]): PhaseVerdict['errors'] =>
  checks
    .filter(({ outcome }) => outcome === 'violated' || outcome === 'error')
    .map(({ check, message }) => ({ metric: check, reason: message }));

/** The verdict with what the checks add to it. No bypass reaches them. */
export function withIntegrity(verdict: PhaseVerdict, checks: readonly IntegrityCheck[]): PhaseVerdict {
  const errors = integrityErrors(checks);
  return errors.length === 0 ? verdict : { ...verdict, verdict: 'blocked', errors: [...verdict.errors, ...errors] };
}
