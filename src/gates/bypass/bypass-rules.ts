import type { Bypass } from '../../shared/bypass-log.ts';
import { FleetError } from '../../shared/errors.ts';
import { nearestHint } from '../../shared/yaml-file.ts';
import { NO_POLICY, type PolicySet, policyOf } from '../load-policy.ts';
import { namesOf, neverBypassed } from './never-bypassed.ts';

export type BypassStatus = 'waiting' | 'active' | 'expired' | 'revoked';

/** How a bypass stands at a moment, from the log alone. */
export function bypassStatus(bypass: Bypass, now: string): BypassStatus {
  if (bypass.revocation !== null) return 'revoked';
  if (Date.parse(bypass.until) <= Date.parse(now)) return 'expired';
  return bypass.approval === null ? 'waiting' : 'active';
}

/** Names are compared as people read them. */
const samePerson = (a: string, b: string): boolean => plain(a) === plain(b);
const plain = (name: string): string => name.normalize('NFKC').trim().replaceAll(/\s+/g, ' ').toLowerCase();

type Answer = { role: string } | { refused: string };

/** Whether a policy lets a gate or criterion be bypassed at all, and whose approval it asks for. */
export function bypassRule(set: PolicySet, policy: string, gate: string): Answer {
  if (policy === NO_POLICY) return { refused: 'the phase is not gated, so there is nothing to bypass' };
  const loaded = policyOf(set, policy);
  const names = [...new Set(namesOf(loaded))];
  if (!names.includes(gate))
    return { refused: `policy "${policy}" has no gate or criterion "${gate}"${nearestHint(gate, names)}` };
  const rules = set.file.bypass_rules;
  if (neverBypassed(loaded, rules.non_bypassable_gates, set.metrics).has(gate))
    return { refused: `"${gate}" is never bypassable` };
  const rule = rules.bypassable_gates.find((each) => each.gate === gate && each.phases.includes(policy));
  return rule === undefined
    ? { refused: `no bypass rule of the policy names "${gate}" for "${policy}"` }
    : { role: rule.approval_level };
}

/** Why a bypass does not count at a moment; undefined when it does. Everything is checked again, whatever the log says. */
export function bypassRefusal(set: PolicySet, policy: string, bypass: Bypass, now: string): string | undefined {
  const rule = bypassRule(set, policy, bypass.gate);
  if ('refused' in rule) return rule.refused;
  const { approval, revocation, until, by, reason, adr } = bypass;
  if (revocation !== null) return `revoked by ${revocation.by}: ${revocation.reason}`;
  if (!(Date.parse(until) > Date.parse(now))) return `expired ${until}`;
  if (approval === null) return `waits for approval by a ${rule.role}`;
  if (approval.role !== rule.role) return `approved as ${approval.role}, the policy asks for ${rule.role}`;
  if (samePerson(approval.by, by)) return `${by} asked for it and approved it too`;
  if (reason.trim() === '') return 'no reason is given';
  return adr.bytes > 0 ? undefined : 'its ADR is empty';
}

export interface BypassRequest {
  policySet: PolicySet;
  policy: string;
  gate: string;
  by: string;
  reason: string;
  until: string;
  now: string;
}

const refuse = (message: string, remedy: string): FleetError => new FleetError('BAD_INPUT', message, { remedy });

/** Throws `BAD_INPUT` for a request that could never count. Returns the role that must approve it. */
export function checkRequest(request: BypassRequest): string {
  const rule = bypassRule(request.policySet, request.policy, request.gate);
  if ('refused' in rule)
    throw refuse(`this cannot be bypassed: ${rule.refused}`, 'Mend what the gate found, or change the policy.');
  if (request.by.trim() === '') throw refuse('nobody asks for this bypass', 'Give --by NAME.');
  if (request.reason.trim() === '') throw refuse('a bypass needs a reason', 'Give --reason TEXT.');
  if (!(Date.parse(request.until) > Date.parse(request.now)))
    throw refuse(`the bypass would end at ${request.until}, which is not in the future`, 'Give --expires, such as 7d.');
  return rule.role;
}

/** Throws `BAD_INPUT` when this person in this role cannot approve this bypass now. */
export function checkApproval(bypass: Bypass, approver: { by: string; role: string }, now: string): void {
  const status = bypassStatus(bypass, now);
  if (status === 'active')
    throw refuse(`${bypass.id} was approved by ${bypass.approval?.by ?? ''} already`, 'Nothing is left to do.');
  if (status !== 'waiting') throw refuse(`${bypass.id} is ${status}`, 'Ask for a new one.');
  if (approver.by.trim() === '') throw refuse('nobody approves this bypass', 'Give --by NAME.');
  if (approver.role !== bypass.role)
    throw refuse(
      `${bypass.id} needs the approval of a ${bypass.role}, not of a ${approver.role}`,
      `Ask a ${bypass.role}.`,
    );
  if (samePerson(approver.by, bypass.by))
    throw refuse(
      `${bypass.by} asked for ${bypass.id}, so somebody else must approve it`,
      `Ask another ${bypass.role}.`,
    );
}
