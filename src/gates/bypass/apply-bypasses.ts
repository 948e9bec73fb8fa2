import type { Bypass } from '../../shared/bypass-log.ts';
import type { BypassResult, GateOutcome } from '../../shared/verdict.ts';
import type { PolicySet } from '../load-policy.ts';
import { bypassRefusal } from './bypass-rules.ts';

/** What the log says of the thing that is judged, and the moment it is judged at. */
export interface KnownBypasses {
  now: string;
  known: readonly Bypass[];
  /** What is wrong with the log: in one that somebody touched nothing counts, whatever its entries say. */
  broken?: string | undefined;
}

interface Judged {
  name: string;
  outcome: GateOutcome;
}

/** Decides for every bypass of a phase whether it counts. A bypass covers what failed; an error it never covers. */
export function judgeBypasses(
  of: { policySet: PolicySet; policy: string; phase: string; bypasses: KnownBypasses | undefined },
  judged: readonly Judged[],
): BypassResult[] {
  const { now, known, broken } = of.bypasses ?? { now: '', known: [] };
  return known
    .filter((bypass) => bypass.phase === of.phase)
    .toSorted((a, b) => (a.id < b.id ? -1 : Number(a.id > b.id)))
    .map((bypass) => {
      const refusal =
        broken === undefined ? bypassRefusal(of.policySet, of.policy, bypass, now) : `the log is broken: ${broken}`;
      const outcomes = judged.filter((each) => each.name === bypass.gate).map((each) => each.outcome);
      return { ...recordOf(bypass), ...outcomeOf(bypass, refusal, outcomes) };
    });
}

const recordOf = (bypass: Bypass): Omit<BypassResult, 'outcome' | 'message'> => ({
  id: bypass.id,
  gate: bypass.gate,
  requestedBy: bypass.by,
  approvedBy: bypass.approval?.by ?? null,
  role: bypass.role,
  reason: bypass.reason,
  until: bypass.until,
  adrSha256: bypass.adr.sha256,
});

function outcomeOf(
  bypass: Bypass,
  refusal: string | undefined,
  outcomes: readonly GateOutcome[],
): Pick<BypassResult, 'outcome' | 'message'> {
  if (refusal !== undefined) return { outcome: 'refused', message: `does not count: ${refusal}` };
  if (outcomes.includes('failed')) return { outcome: 'applied', message: sentence(bypass) };
  return outcomes.includes('error')
    ? { outcome: 'refused', message: 'does not count: what could not be evaluated blocks, and no bypass covers it' }
    : { outcome: 'not_needed', message: 'nothing failed' };
}

const sentence = (bypass: Bypass): string =>
  `bypassed until ${bypass.until} by ${bypass.approval?.by ?? ''} (${bypass.role}), asked by ${bypass.by}: ${bypass.reason} [${bypass.id}, ${bypass.adr.file}]`;

/** A failed result that an applied bypass names reads `bypassed`, and says who, why and until when. */
export function withBypass<T extends { outcome: GateOutcome; message: string }>(
  result: T,
  name: string,
  bypasses: readonly BypassResult[],
): T {
  const bypass = bypasses.find((each) => each.gate === name && each.outcome === 'applied');
  if (bypass === undefined || result.outcome !== 'failed') return result;
  return { ...result, outcome: 'bypassed', message: `${result.message}; ${bypass.message}` };
}
