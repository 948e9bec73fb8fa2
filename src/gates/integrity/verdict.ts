import type { IntegrityCheck } from '../../shared/round-evidence.ts';
import type { PhaseVerdict } from '../../shared/verdict.ts';

/** What the checks of integrity add to a verdict: nothing, or the reasons why it is blocked. */
export const integrityErrors = (checks: readonly IntegrityCheck[]): PhaseVerdict['errors'] =>
  checks
    .filter(({ outcome }) => outcome === 'violated' || outcome === 'error')
    .map(({ check, message }) => ({ metric: check, reason: message }));
