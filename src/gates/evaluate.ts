import type {
  ArtifactResult,
  CriterionResult,
  GateResult,
  Measurement,
  PhaseVerdict,
  TargetResult,
  VerdictWord,
} from '../shared/verdict.ts';
import { neverBypassed } from './check-policy.ts';
import type { Condition } from './conditions.ts';
import { NO_POLICY, type PolicySet, policyOf, requiredMetrics } from './load-policy.ts';
import type { LoadedPolicy } from './loaded-policy.ts';
import { type Reading, readMeasurements } from './readings.ts';
import { conditionMessage, criterionMessage, formatValue } from './verdict-messages.ts';

export interface EvaluateInput {
  policySet: PolicySet;
  /** A policy's name, or `none` for a phase that is not gated. */
  policy: string;
  phase: string;
  fallback: boolean;
  measurements: readonly Measurement[];
  artifacts: readonly ArtifactResult[];
  /** `gates eval`: only what was supplied is judged, so targets and artifacts that were not leave the verdict alone. */
  suppliedOnly?: boolean;
}

interface Context {
  loaded: LoadedPolicy;
  read: (metric: string) => Reading;
  suppliedOnly: boolean;
  mode: PolicySet['settings']['enforcement_mode'];
  /** Gates and criteria that block in every mode. */
  firm: ReadonlySet<string>;
}

type VerdictError = PhaseVerdict['errors'][number];

/** Decides a phase. Pure: the same input gives the same verdict, byte for byte. */
export function evaluatePhase(input: EvaluateInput): PhaseVerdict {
  const { policySet, phase, policy, fallback } = input;
  const head = { phase, policy, fallback };
  if (policy === NO_POLICY) {
    return {
      ...head,
      verdict: 'not_gated',
      gates: [],
      criteria: [],
      artifacts: [],
      targets: [],
      errors: [],
      simulated: false,
    };
  }
  const loaded = policyOf(policySet, policy);
  const suppliedOnly = input.suppliedOnly ?? false;
  const context: Context = {
    loaded,
    read: readMeasurements(policySet.metrics, input.measurements, suppliedOnly ? 'not supplied' : 'not measured'),
    suppliedOnly,
    mode: policySet.settings.enforcement_mode,
    firm: neverBypassed(loaded, policySet.file.bypass_rules.non_bypassable_gates),
  };
  const gates = loaded.gates.map((gate) => judgeGate(context, gate.gate, gate.condition, gate.severity));
  const criteria = Object.keys(loaded.policy.success_criteria).map((name) => judgeCriterion(context, name));
  const artifacts = judgeArtifacts(context, input.artifacts);
  const targets = loaded.targets.map((target) => judgeTarget(context, target.metric, target.condition));
  const errors = [...gates.flatMap((judged) => judged.errors), ...criteria.flatMap((judged) => judged.errors)];
  return {
    ...head,
    verdict: verdictOf(context, gates.map(resultOf), criteria.map(resultOf), artifacts, targets, errors),
    gates: gates.map(resultOf),
    criteria: criteria.map(resultOf),
    artifacts,
    targets,
    errors,
    simulated: requiredMetrics(policySet, policy).some((metric) => {
      const reading = context.read(metric);
      return reading.ok && reading.simulated;
    }),
  };
}

interface Judged<T> {
  result: T;
  errors: VerdictError[];
}
const resultOf = <T>(judged: Judged<T>): T => judged.result;

function judgeGate(
  context: Context,
  gate: string,
  condition: Condition,
  severity: GateResult['severity'],
): Judged<GateResult> {
  const values = new Map<string, number>();
  const shown: GateResult['values'] = {};
  const errors: VerdictError[] = [];
  for (const metric of condition.metrics) {
    const reading = context.read(metric);
    shown[metric] = reading.ok
      ? { value: reading.value, source: reading.source, simulated: reading.simulated }
      : { value: null, source: 'none', simulated: false };
    if (reading.ok) values.set(metric, reading.value);
    else errors.push({ gate, metric, reason: reading.reason });
  }
  const base = { gate, condition: condition.text, severity, values: shown };
  if (errors.length === 0) {
    const result = condition.evaluate(values);
    if (result.outcome !== 'not_evaluable') {
      const held = result.outcome === 'held';
      const message = conditionMessage(condition, values, held) + (held ? '' : leniency(context, gate, 'gate'));
      return { result: { ...base, outcome: held ? 'passed' : 'failed', message }, errors };
    }
    errors.push({ gate, metric: result.metric, reason: result.reason });
  }
  const message = `not evaluable: ${errors.map((error) => `${error.metric}: ${error.reason}`).join('; ')}`;
  return { result: { ...base, outcome: 'error', message }, errors };
}

function judgeCriterion(context: Context, criterion: string): Judged<CriterionResult> {
  const spec = context.loaded.policy.success_criteria[criterion];
  const reading = context.read(criterion);
  const { threshold, direction, severity } = spec ?? { threshold: 0, direction: 'min', severity: 'BLOCKING' };
  const base = { criterion, threshold, direction, severity };
  if (!reading.ok) {
    const message = `not evaluable: ${criterion}: ${reading.reason}`;
    return {
      result: { ...base, outcome: 'error', value: null, source: 'none', simulated: false, message },
      errors: [{ criterion, metric: criterion, reason: reading.reason }],
    };
  }
  const { value, source, simulated } = reading;
  const held = direction === 'min' ? value >= threshold : value <= threshold;
  const message =
    criterionMessage(criterion, value, threshold, direction) + (held ? '' : leniency(context, criterion, 'criterion'));
  return { result: { ...base, outcome: held ? 'passed' : 'failed', value, source, simulated, message }, errors: [] };
}

function judgeTarget(context: Context, metric: string, condition: Condition): TargetResult {
  const reading = context.read(metric);
  const base = { metric, condition: condition.text };
  if (!reading.ok) {
    const outcome = context.suppliedOnly && reading.absent ? 'not_supplied' : 'not_measured';
    return { ...base, outcome, value: null, message: `${metric}: ${reading.reason}` };
  }
  const values = new Map([[metric, reading.value]]);
  const result = condition.evaluate(values);
  if (result.outcome === 'not_evaluable') {
    return { ...base, outcome: 'not_measured', value: reading.value, message: `${metric}: ${result.reason}` };
  }
  const held = result.outcome === 'held';
  const wanted = condition.text.slice(metric.length + 1);
  const message = `${metric} ${formatValue(reading.value, condition.comparisons[0]?.literal)}, target ${wanted}`;
  return { ...base, outcome: held ? 'met' : 'missed', value: reading.value, message };
}

/** One result per artifact of the policy, whether it was looked for or not. */
function judgeArtifacts(context: Context, found: readonly ArtifactResult[]): ArtifactResult[] {
  const { required_artifacts, optional_artifacts } = context.loaded.policy;
  const judge =
    (required: boolean) =>
    (artifact: string): ArtifactResult => {
      const seen = found.find((candidate) => candidate.artifact === artifact);
      if (seen) return { ...seen, required };
      return context.suppliedOnly
        ? { artifact, required, outcome: 'not_supplied', files: [], message: 'not supplied' }
        : { artifact, required, outcome: 'missing', files: [], message: 'not looked for' };
    };
  return [...required_artifacts.map(judge(true)), ...optional_artifacts.map(judge(false))];
}

/** Does a failed result only warn because of the enforcement mode? */
function isLenient(context: Context, name: string, kind: 'gate' | 'criterion'): boolean {
  if (context.firm.has(name)) return false;
  return context.mode === 'advisory' || (context.mode === 'mixed' && kind === 'criterion');
}

const leniency = (context: Context, name: string, kind: 'gate' | 'criterion'): string =>
  isLenient(context, name, kind) ? ` (enforcement mode ${context.mode}: warns only)` : '';

function verdictOf(
  context: Context,
  gates: readonly GateResult[],
  criteria: readonly CriterionResult[],
  artifacts: readonly ArtifactResult[],
  targets: readonly TargetResult[],
  errors: readonly VerdictError[],
): VerdictWord {
  const failed = [
    ...gates.map((result) => ({ name: result.gate, kind: 'gate', ...result }) as const),
    ...criteria.map((result) => ({ name: result.criterion, kind: 'criterion', ...result }) as const),
  ].filter((result) => result.outcome === 'failed');
  const blocks = failed.some((each) => each.severity === 'BLOCKING' && !isLenient(context, each.name, each.kind));
  const missing = artifacts.some((artifact) => artifact.required && artifact.outcome === 'missing');
  if (errors.length > 0 || blocks || missing || gates.length === 0) return 'blocked';
  const warns = targets.some((target) => target.outcome === 'missed' || target.outcome === 'not_measured');
  return failed.length > 0 || warns ? 'passed_with_warnings' : 'passed';
}
