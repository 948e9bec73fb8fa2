import type { ContractResult, GateOutcome, GateResult, PhaseVerdict } from '../../shared/verdict.ts';
import type { PersonaWork } from '../../shared/round-evidence.ts';
import { type PolicySet, NO_POLICY } from '../load-policy.ts';
import type { ContractGate } from '../persona-contracts-schema.ts';
import type { Reading } from '../readings.ts';
import { criterionMessage } from '../verdict-messages.ts';
import { contractOf } from './contract-of.ts';

interface Judged {
  results: ContractResult[];
  errors: PhaseVerdict['errors'];
}

interface Of {
  policySet: PolicySet;
  policy: string;
  read: (metric: string) => Reading;
  artifacts: readonly { artifact: string; outcome: string; files: string[]; message: string }[];
  /** Who worked in the phase, and what of their deliverables is there. */
  work?: PersonaWork | undefined;
}

const AS_FOUND = {
  left: 'handed on as it was found: this phase changed no file of it, and this persona none before',
  given: 'handed on as it was found in the files that the run was given: no file of it was changed',
} as const;

const UNREAD = { metric: null, value: null, source: 'none', simulated: false } as const;

/** Holds what was measured of a phase against the contract of each of its personas. */
export function judgeContracts({ policySet, policy, read, artifacts, work }: Of): Judged {
  const { contracts } = policySet;
  if (contracts === undefined || work === undefined || policy === NO_POLICY) return { results: [], errors: [] };
  const results: ContractResult[] = [];
  const errors: PhaseVerdict['errors'] = [];
  for (const persona of work.personas) {
    const contract = contractOf(policySet, policy, persona);
    for (const [name, gate] of Object.entries(contract.quality_gates)) {
      const reading = read(gate.metric);
      results.push({ persona, kind: 'gate', name, ...judgeGate(gate, reading) });
      if (!reading.ok) errors.push({ persona, metric: gate.metric, reason: reading.reason });
    }
    for (const name of contract.required_artifacts) {
      const seen = artifacts.find((candidate) => candidate.artifact === name);
      const outcome = seen?.outcome === 'present' ? 'passed' : 'failed';
      const message = seen?.message ?? 'not looked for';
      results.push({
        ...UNREAD,
        persona,
        kind: 'artifact',
        name,
        required: 'required',
        severity: 'BLOCKING',
        outcome,
        message,
      });
    }
  }
  for (const { persona, deliverable, paths, files, problems = [], asFound } of work.deliverables) {
    const required = paths.join(' or ');
    const absent = files === 0 ? [`no file ${required}`] : problems;
    const lacks = asFound === undefined ? absent : [...absent, AS_FOUND[asFound]];
    const outcome = lacks.length === 0 ? 'passed' : 'failed';
    const message = lacks.length === 0 ? `${files} files` : lacks.join('; ');
    // A run over a project that has the files already may have nothing to add to them; it is only said.
    const isOnlyGiven = asFound === 'given' && absent.length === 0;
    const severity = isOnlyGiven ? 'WARNING' : contracts.deliverables.severity;
    results.push({ ...UNREAD, persona, kind: 'deliverable', name: deliverable, required, severity, outcome, message });
  }
  return { results, errors };
}

type GateJudged = Omit<ContractResult, 'persona' | 'kind' | 'name'>;

function judgeGate({ metric, threshold, direction, severity }: ContractGate, reading: Reading): GateJudged {
  const base = { metric, required: `${metric} ${direction === 'min' ? '>=' : '<='} ${threshold}`, severity };
  if (!reading.ok)
    return {
      ...base,
      outcome: 'error',
      value: null,
      source: 'none',
      simulated: false,
      message: `not evaluable: ${metric}: ${reading.reason}`,
    };
  const { value, source, simulated } = reading;
  const outcome = (direction === 'min' ? value >= threshold : value <= threshold) ? 'passed' : 'failed';
  return { ...base, outcome, value, source, simulated, message: criterionMessage(metric, value, threshold, direction) };
}

/**
 * Enough of the phase's own gates must have passed: what only warned counts against it, what was bypassed does not.
 * What could not be evaluated, such as a judgement that is still waited for, blocks by itself.
 */
export function judgeGatesPassed({ contracts }: PolicySet, all: readonly GateResult[]): ContractResult[] {
  const gates = all.filter((gate) => gate.outcome !== 'error');
  if (contracts === undefined || gates.length === 0) return [];
  const { threshold, severity } = contracts.gates_passed_ratio;
  const good: GateOutcome[] = ['passed', 'bypassed'];
  const passed = gates.filter((gate) => good.includes(gate.outcome)).length;
  const value = passed / gates.length;
  return [
    {
      persona: 'all',
      kind: 'gate',
      name: 'gates_passed_ratio',
      metric: null,
      required: `>= ${threshold}`,
      severity,
      outcome: value >= threshold ? 'passed' : 'failed',
      value,
      source: 'collector',
      simulated: false,
      message: `${passed} of ${gates.length} evaluated gates passed or were bypassed, required >= ${threshold}`,
    },
  ];
}
