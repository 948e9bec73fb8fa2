import type { Baseline } from '../shared/baseline.ts';
import type {
  ArtifactResult,
  ContractResult,
  CriterionResult,
  GateResult,
  Measurement,
  PhaseVerdict,
  TargetResult,
  VerdictWord,
} from '../shared/verdict.ts';
import type { PersonaWork } from '../shared/round-evidence.ts';
import { type KnownBypasses, judgeBypasses, withBypass } from './bypass/apply-bypasses.ts';
import { isNeverBypassed, neverBypassed } from './bypass/never-bypassed.ts';
import type { Condition } from './conditions.ts';
import { metricsOf } from './contracts/contract-of.ts';
import { judgeContracts, judgeGatesPassed } from './contracts/judge-contracts.ts';
import { NO_POLICY, type PolicySet, policyOf } from './load-policy.ts';
import type { LoadedPolicy } from './loaded-policy.ts';
import type { Criterion } from './policy-schema.ts';
import { type Reading, readMeasurements } from './readings.ts';
import { limitOf } from './trend/relative.ts';
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
  /** What the log says of bypasses for this very thing, and when it is judged. Each is checked again here. */
  bypasses?: KnownBypasses;
  /** What relative criteria are compared with; without it they do what the policy declares. */
  baseline?: Baseline | null;
  /** Whose work it is: without it no persona's contract is judged. */
  work?: PersonaWork | undefined;
}

interface Context {
  loaded: LoadedPolicy;
  read: (metric: string) => Reading;
  suppliedOnly: boolean;
  baseline: Baseline | null;
  mode: PolicySet['settings']['enforcement_mode'];
  /** Gates and criteria that block in every mode. */
  firm: ReadonlySet<string>;
  /** The same for a metric alone. */
  isFirm: (metric: string) => boolean;
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
  const listed = policySet.file.bypass_rules.non_bypassable_gates;
  const suppliedOnly = input.suppliedOnly ?? false;
  const context: Context = {
    loaded,
    read: readMeasurements(policySet.metrics, input.measurements, suppliedOnly ? 'not supplied' : 'not measured'),
    suppliedOnly,
    baseline: input.baseline ?? null,
    mode: policySet.settings.enforcement_mode,
    firm: neverBypassed(loaded, listed, policySet.metrics),
    isFirm: (metric) => isNeverBypassed(metric, listed, policySet.metrics),
  };
  const judgedGates = loaded.gates.map((gate) => judgeGate(context, gate.gate, gate.condition, gate.severity));
  const judgedCriteria = Object.entries(loaded.policy.success_criteria).map(([name, spec]) =>
    judgeCriterion(context, name, spec),
  );
  const held = judgeContracts({ ...input, read: context.read });
  const bypasses = judgeBypasses({ policySet, policy, phase, bypasses: input.bypasses }, [
    ...judgedGates.map(({ result }) => ({ name: result.gate, outcome: result.outcome })),
    ...judgedCriteria.map(({ result }) => ({ name: result.criterion, outcome: result.outcome })),
    ...held.results.map(({ metric, outcome }) => ({ name: metric ?? '', outcome })),
  ]);
  const gates = judgedGates.map(({ result }) => withBypass(result, result.gate, bypasses));
  const criteria = judgedCriteria.map(({ result }) => withBypass(result, result.criterion, bypasses));
  const artifacts = judgeArtifacts(context, input.artifacts);
  const contracts = [
    ...held.results.map((result) => withBypass(result, result.metric ?? '', bypasses)),
    ...(input.work === undefined ? [] : judgeGatesPassed(policySet, gates)),
  ];
  const targets = loaded.targets.map((target) => judgeTarget(context, target.metric, target.condition));
  const errors = [...judgedGates, ...judgedCriteria, held].flatMap((judged) => judged.errors);
  const comparison = comparedWith(context);
  return {
    ...head,
    verdict: verdictOf(context, { gates, criteria, artifacts, targets, contracts, errors }),
    gates,
    criteria,
    artifacts,
    targets,
    errors,
    simulated:
      (comparison.baseline !== undefined && context.baseline?.simulated === true) ||
      metricsOf(policySet, policy, input.work?.personas ?? []).some((metric) => {
        const reading = context.read(metric);
        return reading.ok && reading.simulated;
      }),
    ...(contracts.length === 0 ? {} : { contracts }),
    ...(bypasses.length === 0 ? {} : { bypasses }),
    ...(input.bypasses?.broken === undefined ? {} : { brokenBypassLog: input.bypasses.broken }),
    ...comparison,
    policyDigest: policySet.digest,
  };
}

/** The baseline that had a part in the verdict, for reports. */
function comparedWith({ loaded, baseline }: Context): Pick<PhaseVerdict, 'baseline'> {
  const criteria = Object.values(loaded.policy.success_criteria);
  if (criteria.every((criterion) => criterion.relative_to === undefined)) return {};
  if (baseline === null) return { baseline: null };
  const { source, tree, at } = baseline;
  return { baseline: { source, tree, at } };
}

interface Judged<T> {
  result: T;
  errors: VerdictError[];
}

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

function judgeCriterion(context: Context, criterion: string, spec: Criterion): Judged<CriterionResult> {
  const reading = context.read(criterion);
  const { direction, severity } = spec;
  const base = { criterion, threshold: spec.threshold ?? null, direction, severity };
  const limit = limitOf(criterion, spec, context.baseline);
  if (!reading.ok || limit.kind === 'missing') {
    const reason = !reading.ok ? reading.reason : limit.kind === 'missing' ? limit.reason : '';
    const shown = reading.ok ? reading : { value: null, source: 'none' as const, simulated: false };
    const { value, source, simulated } = shown;
    const message = `not evaluable: ${criterion}: ${reason}`;
    return {
      result: { ...base, outcome: 'error', value, source, simulated, message },
      errors: [{ criterion, metric: criterion, reason }],
    };
  }
  const { value, source, simulated } = reading;
  const threshold = limit.kind === 'threshold' ? limit.threshold : base.threshold;
  const holds = threshold === null || (direction === 'min' ? value >= threshold : value <= threshold);
  const onlyWarns = holds && limit.kind === 'declared' && limit.warns;
  const held = holds && !onlyWarns;
  const compared =
    threshold === null
      ? `${criterion} ${formatValue(value)}`
      : criterionMessage(criterion, value, threshold, direction);
  const note = limit.note === '' ? '' : ` (${limit.note})`;
  const message = `${compared}${note}${held ? '' : leniency(context, criterion, 'criterion')}`;
  return {
    result: {
      ...base,
      threshold,
      severity: onlyWarns ? 'WARNING' : severity,
      outcome: held ? 'passed' : 'failed',
      value,
      source,
      simulated,
      message,
    },
    errors: [],
  };
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

/** A contract is judged like the criteria; what may never be bypassed and what is missing blocks in every mode. */
const contractBlocks = (context: Context, { kind, metric, severity }: ContractResult): boolean =>
  severity === 'BLOCKING' &&
  (kind !== 'gate' || (metric !== null && context.isFirm(metric)) || context.mode === 'blocking');

type Results = Pick<PhaseVerdict, 'gates' | 'criteria' | 'artifacts' | 'targets' | 'errors'> & {
  contracts: readonly ContractResult[];
};

function verdictOf(context: Context, { gates, criteria, artifacts, targets, contracts, errors }: Results): VerdictWord {
  const failed = [
    ...gates.map((result) => ({ name: result.gate, kind: 'gate', ...result }) as const),
    ...criteria.map((result) => ({ name: result.criterion, kind: 'criterion', ...result }) as const),
  ].filter((result) => result.outcome === 'failed');
  const broken = contracts.filter((result) => result.outcome === 'failed');
  const blocks =
    failed.some((each) => each.severity === 'BLOCKING' && !isLenient(context, each.name, each.kind)) ||
    broken.some((each) => contractBlocks(context, each));
  const missing = artifacts.some((artifact) => artifact.required && artifact.outcome === 'missing');
  if (errors.length > 0 || blocks || missing || gates.length === 0) return 'blocked';
  const warns =
    failed.length > 0 ||
    broken.length > 0 ||
    targets.some((target) => target.outcome === 'missed' || target.outcome === 'not_measured');
  const bypassed = [...gates, ...criteria, ...contracts].some((result) => result.outcome === 'bypassed');
  return warns || bypassed ? 'passed_with_warnings' : 'passed';
}
