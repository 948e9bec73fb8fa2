import type { Problem, SourcePosition } from '../shared/errors.ts';
import { type YamlFile, nearestHint, placeInside } from '../shared/yaml-file.ts';
import { namesOf, neverBypassed } from './bypass/never-bypassed.ts';
import { type CompiledCondition, type Condition, conditionCompiler } from './conditions.ts';
import type { LoadedGate, LoadedPolicy, LoadedTarget } from './loaded-policy.ts';
import type { MetricSpec, PhasePolicy, PolicyFile } from './policy-schema.ts';
import { type ValueRange, foregoneResult } from './undecided.ts';

/** What a value of each type can be. */
export const METRIC_RANGES: Readonly<Record<MetricSpec['type'], readonly [number, number]>> = {
  flag: [0, 1],
  ratio: [0, 1],
  score10: [0, 10],
  score100: [0, 100],
  count: [0, Number.POSITIVE_INFINITY],
  amount: [0, Number.POSITIVE_INFINITY],
};

type Path = readonly PropertyKey[];

/** Checks what a schema cannot, given the texts of the files that hold the policy: that every name means something, and that every number can be reached. */
export function checkPolicy(
  yaml: YamlFile<PolicyFile>,
  texts: ReadonlyMap<string, string>,
): { problems: Problem[]; policies: ReadonlyMap<string, LoadedPolicy> } {
  const check = new PolicyCheck(yaml, texts);
  return { policies: check.run(), problems: check.problems };
}

class PolicyCheck {
  readonly problems: Problem[] = [];
  private readonly yaml: YamlFile<PolicyFile>;
  private readonly file: PolicyFile;
  private readonly texts: ReadonlyMap<string, string>;
  private readonly compile: (text: string) => CompiledCondition;

  constructor(yaml: YamlFile<PolicyFile>, texts: ReadonlyMap<string, string>) {
    this.yaml = yaml;
    this.file = yaml.value;
    this.texts = texts;
    this.compile = conditionCompiler(Object.keys(this.file.metrics));
  }

  run(): ReadonlyMap<string, LoadedPolicy> {
    this.catalogues();
    if (!this.file.phases['custom_component']) {
      this.problem(
        ['phases'],
        'there is no policy "custom_component", which judges phases that no policy names',
        'key',
      );
    }
    const policies = new Map(
      Object.entries(this.file.phases).map(([name, policy]) => [name, this.phase(name, policy)] as const),
    );
    this.bypassRules(policies);
    return policies;
  }

  private problem(path: Path, message: string, part: 'key' | 'value' = 'value'): void {
    this.problems.push({ ...this.yaml.positionOf(path, part), message });
  }

  private catalogues(): void {
    for (const [name, spec] of Object.entries(this.file.metrics)) {
      const path = ['metrics', name];
      if (spec.collector === 'review' && (spec.reviewer === undefined || spec.question === undefined)) {
        this.problem(path, `metric "${name}" comes from a review, so it needs \`reviewer\` and \`question\``, 'key');
      }
      if (spec.collector === 'approval' && spec.role === undefined) {
        this.problem(path, `metric "${name}" comes from an approval, so it needs \`role\``, 'key');
      }
    }
    for (const [name, spec] of Object.entries(this.file.artifacts)) {
      const path = ['artifacts', name];
      if (spec.source === 'files' && spec.paths.length === 0) {
        this.problem(path, `artifact "${name}" has no path to look at`, 'key');
      }
      if (spec.source === 'evidence' && spec.reports.length === 0) {
        this.problem(path, `artifact "${name}" is evidence, so it needs \`reports\``, 'key');
      }
      spec.paths.forEach((glob, index) => {
        if (glob.startsWith('/') || glob.split('/').includes('..')) {
          this.problem([...path, 'paths', index], `"${glob}" leads out of the measured folder`);
        }
      });
    }
  }

  private phase(name: string, policy: PhasePolicy): LoadedPolicy {
    const path = ['phases', name];
    if (policy.phase_id !== name) this.problem([...path, 'phase_id'], `phase_id must be "${name}"`);
    this.criteria(path, policy);
    this.artifactLists(path, policy);
    return { name, policy, gates: this.gates(path, policy), targets: this.targets(path, policy) };
  }

  private criteria(path: Path, policy: PhasePolicy): void {
    for (const [metric, criterion] of Object.entries(policy.success_criteria)) {
      const at = [...path, 'success_criteria', metric];
      const spec = this.metric(metric, at, 'key');
      if (!spec) continue;
      if (criterion.threshold !== undefined) {
        const place = this.yaml.positionOf([...at, 'threshold']);
        this.threshold(metric, spec, criterion.threshold, place);
        this.bound(metric, spec, criterion.threshold, place);
      }
      if (criterion.max_regression !== undefined) this.regression(metric, spec, criterion.max_regression, at);
      if (criterion.direction !== spec.direction) {
        this.problem([...at, 'direction'], `direction of ${metric} is ${spec.direction}, not ${criterion.direction}`);
      }
    }
  }

  private artifactLists(path: Path, policy: PhasePolicy): void {
    const seen = new Set<string>();
    for (const list of ['required_artifacts', 'optional_artifacts'] as const) {
      policy[list].forEach((artifact, index) => {
        const at = [...path, list, index];
        if (!this.file.artifacts[artifact]) {
          const hint = nearestHint(artifact, Object.keys(this.file.artifacts));
          this.problem(at, `"${artifact}" is not in the artifact catalogue${hint}`);
        }
        if (seen.has(artifact)) this.problem(at, `artifact "${artifact}" is listed twice`);
        seen.add(artifact);
      });
    }
  }

  private gates(path: Path, policy: PhasePolicy): LoadedGate[] {
    const seen = new Set<string>();
    return policy.exit_gates.flatMap(({ gate, condition, severity }, index) => {
      const at = [...path, 'exit_gates', index];
      if (seen.has(gate)) this.problem([...at, 'gate'], `gate "${gate}" is defined twice in this phase`);
      seen.add(gate);
      const compiled = this.condition(condition, [...at, 'condition'], 0);
      return compiled ? [{ gate, severity, condition: compiled }] : [];
    });
  }

  private targets(path: Path, policy: PhasePolicy): LoadedTarget[] {
    return policy.metrics.flatMap(({ metric, target }, index) => {
      const at = [...path, 'metrics', index];
      const spec = this.metric(metric, [...at, 'metric'], 'value');
      if (!spec) return [];
      if (!/^\s*(==|<=?|>=?)/.test(target)) {
        this.problem([...at, 'target'], `a target begins with ==, <, <=, > or >=, e.g. ">= 5"`);
        return [];
      }
      const condition = this.condition(`${metric} ${target}`, [...at, 'target'], metric.length + 1);
      const operator = condition?.conjunction?.[0]?.operator;
      if (operator && operator.startsWith(spec.direction === 'min' ? '<' : '>')) {
        this.problem(
          [...at, 'target'],
          `direction of ${metric} is ${spec.direction}, so ${operator} points the wrong way`,
        );
      }
      return condition ? [{ metric, target: target.trim(), condition }] : [];
    });
  }

  private metric(name: string, path: Path, part: 'key' | 'value'): MetricSpec | undefined {
    const spec = Object.hasOwn(this.file.metrics, name) ? this.file.metrics[name] : undefined;
    if (!spec) {
      const hint = nearestHint(name, Object.keys(this.file.metrics));
      this.problem(path, `"${name}" is not a declared metric${hint}`, part);
    }
    return spec;
  }

  /** `lead` characters before the text in the file were put there by us. */
  private condition(text: string, path: Path, lead: number): Condition | undefined {
    const start = this.yaml.positionOf(path);
    const known = this.problems.length;
    const compiled = this.compile(text);
    const at = (offset: number): SourcePosition => this.inside(start, Math.max(0, offset - lead));
    if (!compiled.ok) {
      for (const { offset, message } of compiled.problems) this.problems.push({ ...at(offset), message });
      return undefined;
    }
    for (const { metric, literal, operator, offset } of compiled.condition.comparisons) {
      const spec = this.file.metrics[metric];
      if (spec) this.threshold(metric, spec, literal, at(offset), operator);
    }
    if (this.problems.length === known) this.foregone(compiled.condition, at(0));
    return compiled.condition;
  }

  /** A condition that comes out the same whatever is measured is an empty gate, however it is spelt. */
  private foregone(condition: Condition, at: SourcePosition): void {
    const foregone = foregoneResult(condition, (metric) => this.rangeOf(metric));
    if (foregone === undefined) return;
    const always = foregone === 'held' ? 'holds' : 'fails';
    this.problems.push({ ...at, message: `this ${always} whatever is measured, so it can never decide anything` });
  }

  private rangeOf(metric: string): ValueRange | undefined {
    const spec = this.file.metrics[metric];
    if (!spec) return undefined;
    const [low, high] = METRIC_RANGES[spec.type];
    return { low, high, whole: spec.type === 'flag' || spec.type === 'count' };
  }

  /** A place inside a one-line scalar; the start of the value when it is written as a block. */
  private inside(start: SourcePosition, offset: number): SourcePosition {
    return placeInside(this.texts.get(start.file) ?? '', start, offset);
  }

  private threshold(metric: string, spec: MetricSpec, value: number, at: SourcePosition, operator = '>='): void {
    const [low, high] = METRIC_RANGES[spec.type];
    const whole = spec.type === 'flag' || (spec.type === 'count' && (operator === '==' || operator === '!='));
    const strict = (operator === '>' && value === high) || (operator === '<' && value === low);
    if (value < low || value > high || strict || (whole && !Number.isInteger(value))) {
      const range = high === Number.POSITIVE_INFINITY ? `from ${low}` : `${low} to ${high}`;
      const message = `${metric} is a ${spec.type} (${range}): ${operator} ${value} can never decide anything`;
      this.problems.push({ ...at, message });
    }
  }

  /** The worst value there is holds nothing back. */
  private bound(metric: string, spec: MetricSpec, value: number, at: SourcePosition): void {
    const [low, high] = METRIC_RANGES[spec.type];
    if (value !== (spec.direction === 'min' ? low : high)) return;
    const message = `${metric} is a ${spec.type} whose worst value is ${value}: this can never decide anything`;
    this.problems.push({ ...at, message });
  }

  /** A value that may lose as much as there is to lose is held to nothing. */
  private regression(metric: string, spec: MetricSpec, value: number, at: Path): void {
    const [low, high] = METRIC_RANGES[spec.type];
    if (value < high - low) return;
    this.problem(
      [...at, 'max_regression'],
      `${metric} is a ${spec.type}: losing ${value} is all there is, so it can never decide anything`,
    );
  }

  private bypassRules(policies: ReadonlyMap<string, LoadedPolicy>): void {
    const rules = this.file.bypass_rules;
    const path = ['bypass_rules'];
    const phases = [...policies.values()];
    const known = [...new Set(phases.flatMap(namesOf))];
    rules.non_bypassable_gates.forEach((name, index) => {
      if (known.includes(name) || Object.hasOwn(this.file.metrics, name)) return;
      this.problem(
        [...path, 'non_bypassable_gates', index],
        `"${name}" is neither a gate nor a criterion${nearestHint(name, known)}`,
      );
    });
    rules.bypassable_gates.forEach((rule, index) => {
      const at = [...path, 'bypassable_gates', index];
      if (!known.includes(rule.gate)) {
        this.problem(
          [...at, 'gate'],
          `"${rule.gate}" is neither a gate nor a criterion${nearestHint(rule.gate, known)}`,
        );
      }
      rule.phases.forEach((phase, phaseIndex) => {
        const policy = policies.get(phase);
        const place = [...at, 'phases', phaseIndex];
        if (!policy) this.problem(place, `there is no phase "${phase}"${nearestHint(phase, [...policies.keys()])}`);
        else if (known.includes(rule.gate) && !namesOf(policy).includes(rule.gate)) {
          this.problem(place, `phase "${phase}" has no gate or criterion "${rule.gate}"`);
        } else if (neverBypassed(policy, rules.non_bypassable_gates, this.file.metrics).has(rule.gate)) {
          this.problem([...at, 'gate'], `"${rule.gate}" is never bypassable, and listed as bypassable`);
        }
      });
    });
  }
}
