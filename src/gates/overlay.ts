import type { PolicySource } from '../shared/definitions.ts';
import type { Problem, SourcePosition } from '../shared/errors.ts';
import { type YamlFile, nearestHint } from '../shared/yaml-file.ts';
import { type CompiledCondition, conditionCompiler } from './conditions.ts';
import type { OverlayFile, OverlayPhase } from './overlay-schema.ts';
import { type Criterion, type PhasePolicy, PolicyFile } from './policy-schema.ts';
import { looserThan } from './tighter-condition.ts';

type Path = readonly PropertyKey[];
type Direction = Criterion['direction'];

/** The policy file that comes of it, whose values are still traced to the file they were written in. */
export interface Overlaid {
  yaml: YamlFile<PolicyFile>;
  problems: Problem[];
}

/** Lays the additions of a repository over a policy file. What would loosen it is a problem, unless the base marks it. */
export function applyOverlay(
  base: YamlFile<PolicyFile>,
  baseSource: PolicySource,
  overlay: YamlFile<OverlayFile>,
): Overlaid {
  return new Overlay(base, baseSource, overlay).run();
}

const MODES = ['advisory', 'mixed', 'blocking'];
const ON_MISSING = ['block', 'warn', 'pass_declared'];
const isBelow = (path: Path, parent: Path): boolean =>
  path.length > parent.length && parent.every((step, index) => step === path[index]);
const stem = (file: string): string => (file.split(/[\\/]/).at(-1) ?? file).replace(/\.[^.]*$/, '');

interface Origin {
  path: Path;
  written: YamlFile<unknown>;
  at: Path;
}

class Overlay {
  private readonly problems: Problem[] = [];
  /** Places of the result that are not at the same place in the base. */
  private readonly origins = new Map<string, Origin>();
  private readonly base: YamlFile<PolicyFile>;
  private readonly overlay: YamlFile<OverlayFile>;
  private readonly baseSource: PolicySource;
  private readonly next: PolicyFile;
  private readonly compile: (text: string) => CompiledCondition;

  constructor(base: YamlFile<PolicyFile>, baseSource: PolicySource, overlay: YamlFile<OverlayFile>) {
    this.base = base;
    this.overlay = overlay;
    this.baseSource = baseSource;
    this.next = structuredClone(base.value);
    this.compile = conditionCompiler(Object.keys(base.value.metrics));
  }

  run(): Overlaid {
    const { value } = this.overlay;
    if (value.extends !== stem(this.baseSource.file)) {
      this.problem(['extends'], `it extends "${value.extends}", and the policies are ${this.baseSource.file}`);
      return { yaml: this.base, problems: this.problems };
    }
    this.whole(value);
    for (const [name, phase] of Object.entries(value.phases)) this.phase(name, phase);
    // What the merge made must still be a policy: a rule over several keys is only seen here.
    const parsed = PolicyFile.safeParse(this.next);
    for (const issue of parsed.error?.issues ?? [])
      this.problems.push({
        ...this.positionOf(issue.path),
        message: `${issue.path.map(String).join('.')}: ${issue.message}`,
      });
    return { yaml: { value: this.next, positionOf: this.positionOf }, problems: this.problems };
  }

  private readonly positionOf = (path: Path, part?: 'key' | 'value'): SourcePosition => {
    for (let length = path.length; length > 0; length -= 1) {
      const origin = this.origins.get(JSON.stringify(path.slice(0, length)));
      if (origin) return origin.written.positionOf([...origin.at, ...path.slice(length)], part);
    }
    return this.base.positionOf(path, part);
  };

  /** A place of the result was written at this place of the overlay, or of the base. */
  private from(path: Path, at: Path, written: YamlFile<unknown> = this.overlay): void {
    this.origins.set(JSON.stringify(path), { path, written, at });
  }

  /** Takes an entry out of a list of the result; what comes after it keeps the place where it was written. */
  private takeOut(list: unknown[], listPath: Path, position: number): void {
    list.splice(position, 1);
    const depth = listPath.length;
    const moved = [...this.origins.values()].filter(
      ({ path }) => isBelow(path, listPath) && Number(path[depth]) >= position,
    );
    for (const { path } of moved) this.origins.delete(JSON.stringify(path));
    for (let index = position; index < list.length; index += 1) {
      const old = moved.filter(({ path }) => path[depth] === index + 1);
      if (!old.some(({ path }) => path.length === depth + 1))
        this.from([...listPath, index], [...listPath, index + 1], this.base);
      for (const { path, at, written } of old) this.from([...listPath, index, ...path.slice(depth + 1)], at, written);
    }
  }

  private problem(path: Path, message: string, part: 'key' | 'value' = 'value'): void {
    this.problems.push({ ...this.overlay.positionOf(path, part), message });
  }

  /** A loosening, with what the base says and where. */
  private loosens(path: Path, message: string, basePath: Path, part: 'key' | 'value' = 'value'): void {
    const { file, line, column } = this.base.positionOf(basePath);
    this.problem(path, `${message}: an overlay can only tighten this (${file}:${line}:${column})`, part);
  }

  private unknown(path: Path, what: string, name: string, known: readonly string[], part: 'key' | 'value'): void {
    this.problem(path, `the base has no ${what} "${name}"${nearestHint(name, known)}`, part);
  }

  private whole(value: OverlayFile): void {
    const { next } = this;
    const mode = value.settings.enforcement_mode;
    const hadMode = next.global_settings.enforcement_mode;
    if (mode !== undefined && MODES.indexOf(mode) < MODES.indexOf(hadMode))
      this.loosens(['settings', 'enforcement_mode'], `enforcement mode ${mode} is weaker than the base's ${hadMode}`, [
        'global_settings',
        'enforcement_mode',
      ]);
    else if (mode !== undefined) next.global_settings.enforcement_mode = mode;
    for (const [name, { minimum_examined }] of Object.entries(value.metrics)) {
      const spec = Object.hasOwn(next.metrics, name) ? next.metrics[name] : undefined;
      const at = ['metrics', name];
      if (spec === undefined) this.unknown(at, 'metric', name, Object.keys(next.metrics), 'key');
      else if (minimum_examined < spec.minimum_examined)
        this.loosens(
          [...at, 'minimum_examined'],
          `${minimum_examined} examined is less than the base's ${spec.minimum_examined}`,
          [...at, 'minimum_examined'],
        );
      else spec.minimum_examined = minimum_examined;
    }
    for (const [name, spec] of Object.entries(value.artifacts)) {
      const at = ['artifacts', name];
      if (Object.hasOwn(next.artifacts, name))
        this.loosens(at, `the artifact "${name}" is in the base already`, at, 'key');
      else {
        next.artifacts[name] = spec;
        this.from(at, at);
      }
    }
    const rules = next.bypass_rules;
    value.bypass_rules.non_bypassable_gates.forEach((name, index) => {
      if (rules.non_bypassable_gates.includes(name)) return;
      const at = ['bypass_rules', 'non_bypassable_gates'];
      this.from([...at, rules.non_bypassable_gates.length], [...at, index]);
      rules.non_bypassable_gates.push(name);
    });
    // A rule of the base for what may not be bypassed here is void, not a contradiction.
    rules.bypassable_gates = rules.bypassable_gates.filter(
      (rule) => !value.bypass_rules.non_bypassable_gates.includes(rule.gate),
    );
    const alert = value.bypass_rules.alert_threshold;
    if (alert !== undefined && alert > rules.audit_trail.alert_threshold)
      this.loosens(
        ['bypass_rules', 'alert_threshold'],
        `an alert from ${alert} is later than the base's ${rules.audit_trail.alert_threshold}`,
        ['bypass_rules', 'audit_trail', 'alert_threshold'],
      );
    else if (alert !== undefined) rules.audit_trail.alert_threshold = alert;
  }

  private phase(name: string, changes: OverlayPhase): void {
    const at = ['phases', name];
    const policy = Object.hasOwn(this.next.phases, name) ? this.next.phases[name] : undefined;
    if (policy === undefined) return this.unknown(at, 'policy', name, Object.keys(this.next.phases), 'key');
    for (const [metric, criterion] of Object.entries(changes.success_criteria))
      this.criterion([...at, 'success_criteria', metric], policy, metric, criterion);
    changes.exit_gates.forEach((gate, index) => this.gate(at, policy, gate, index));
    changes.metrics.forEach((target, index) => this.target(at, policy, target, index));
    changes.required_artifacts.forEach((artifact, index) => {
      if (policy.required_artifacts.includes(artifact)) return;
      this.from([...at, 'required_artifacts', policy.required_artifacts.length], [...at, 'required_artifacts', index]);
      policy.required_artifacts.push(artifact);
      policy.optional_artifacts = policy.optional_artifacts.filter((other) => other !== artifact);
    });
    this.removals(at, policy, changes.remove);
  }

  private criterion(
    at: Path,
    policy: PhasePolicy,
    metric: string,
    changes: OverlayPhase['success_criteria'][string],
  ): void {
    const had = Object.hasOwn(policy.success_criteria, metric) ? policy.success_criteria[metric] : undefined;
    const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
    for (const key of Object.keys(given)) this.from([...at, key], [...at, key]);
    if (had === undefined) {
      const direction: Direction = this.next.metrics[metric]?.direction ?? 'min';
      this.from(at, at);
      policy.success_criteria[metric] = { direction, severity: 'BLOCKING', ...given };
      return;
    }
    if (had.loosenable !== true) this.criterionTightens(at, metric, had, changes);
    // A ratchet takes the place of a margin, and a margin that of a ratchet.
    const { max_regression, ratchet, ...rest } = had;
    const margin =
      changes.ratchet === undefined && changes.max_regression === undefined
        ? { ...(max_regression === undefined ? {} : { max_regression }), ...(ratchet === undefined ? {} : { ratchet }) }
        : {};
    policy.success_criteria[metric] = { ...rest, ...margin, ...given };
  }

  private criterionTightens(
    at: Path,
    metric: string,
    had: Criterion,
    changes: OverlayPhase['success_criteria'][string],
  ): void {
    const { threshold, severity, max_regression, ratchet, on_missing } = changes;
    const loosens = (key: string, message: string): void =>
      this.loosens([...at, key], `${metric}: ${message}`, [...at, key]);
    if (threshold !== undefined && had.threshold !== undefined) {
      const isLooser = had.direction === 'min' ? threshold < had.threshold : threshold > had.threshold;
      const word = had.direction === 'min' ? 'lower' : 'higher';
      if (isLooser) loosens('threshold', `${threshold} is ${word} than the base's ${had.threshold}`);
    }
    if (severity === 'WARNING' && had.severity === 'BLOCKING')
      loosens('severity', `WARNING, and the base says BLOCKING`);
    if (had.relative_to === undefined) return;
    const margin = had.ratchet === true ? 0 : (had.max_regression ?? 0);
    if (max_regression !== undefined && max_regression > margin)
      loosens(
        'max_regression',
        `${max_regression} is more than the base's ${had.ratchet === true ? 'ratchet' : margin}`,
      );
    if (ratchet === false && had.ratchet === true) loosens('ratchet', `no ratchet, and the base has one`);
    const before = had.on_missing ?? 'block';
    if (on_missing !== undefined && ON_MISSING.indexOf(on_missing) > ON_MISSING.indexOf(before))
      loosens('on_missing', `${on_missing} is weaker than the base's ${before}`);
  }

  private gate(phase: Path, policy: PhasePolicy, changes: OverlayPhase['exit_gates'][number], index: number): void {
    const at = [...phase, 'exit_gates', index];
    const position = policy.exit_gates.findIndex((gate) => gate.gate === changes.gate);
    const had = policy.exit_gates[position];
    if (had === undefined) {
      if (changes.condition === undefined)
        return this.unknown(
          [...at, 'gate'],
          'gate',
          changes.gate,
          policy.exit_gates.map(({ gate }) => gate),
          'value',
        );
      this.from([...phase, 'exit_gates', policy.exit_gates.length], at);
      policy.exit_gates.push({
        gate: changes.gate,
        condition: changes.condition,
        severity: changes.severity ?? 'BLOCKING',
      });
      return;
    }
    const place = [...phase, 'exit_gates', position];
    const isFree = had.loosenable === true;
    if (changes.severity === 'WARNING' && had.severity === 'BLOCKING' && !isFree)
      this.loosens([...at, 'severity'], `${had.gate}: WARNING, and the base says BLOCKING`, [...place, 'severity']);
    if (changes.condition !== undefined) {
      if (!isFree)
        this.conditionTightens([...at, 'condition'], [...place, 'condition'], changes.condition, had.condition);
      this.from([...place, 'condition'], [...at, 'condition']);
    }
    policy.exit_gates[position] = {
      ...had,
      condition: changes.condition ?? had.condition,
      severity: changes.severity ?? had.severity,
    };
  }

  /** Compares two conditions; one that does not compile is reported when the result is checked. */
  private conditionTightens(path: Path, basePath: Path, changed: string, had: string, shown = had): void {
    const [mine, theirs] = [this.compile(changed), this.compile(had)];
    if (!mine.ok || !theirs.ok) return;
    const reason = looserThan(mine.condition, theirs.condition);
    if (reason !== undefined)
      this.loosens(path, `not provably stricter than the base's "${shown}": ${reason}`, basePath);
  }

  private target(phase: Path, policy: PhasePolicy, changes: OverlayPhase['metrics'][number], index: number): void {
    const at = [...phase, 'metrics', index];
    const position = policy.metrics.findIndex((target) => target.metric === changes.metric);
    const had = policy.metrics[position];
    const place = [...phase, 'metrics', had === undefined ? policy.metrics.length : position];
    this.from(place, at);
    if (had === undefined) {
      policy.metrics.push(changes);
      return;
    }
    if (had.loosenable !== true)
      this.conditionTightens(
        [...at, 'target'],
        place,
        `${changes.metric} ${changes.target}`,
        `${had.metric} ${had.target}`,
        `${had.metric} ${had.target}`,
      );
    policy.metrics[position] = { ...had, ...changes };
  }

  private removals(phase: Path, policy: PhasePolicy, remove: OverlayPhase['remove']): void {
    const refuse = (list: string, index: number, name: string, basePath: Path): void =>
      this.loosens([...phase, 'remove', list, index], `"${name}" would be removed`, basePath);
    const missing = (list: string, index: number, what: string, name: string, known: readonly string[]): void =>
      this.unknown([...phase, 'remove', list, index], what, name, known, 'value');
    remove.success_criteria.forEach((name, index) => {
      const had = policy.success_criteria[name];
      if (had === undefined)
        missing('success_criteria', index, 'criterion', name, Object.keys(policy.success_criteria));
      else if (had.loosenable !== true) refuse('success_criteria', index, name, [...phase, 'success_criteria', name]);
      else
        policy.success_criteria = Object.fromEntries(
          Object.entries(policy.success_criteria).filter(([metric]) => metric !== name),
        );
    });
    remove.exit_gates.forEach((name, index) => {
      const position = policy.exit_gates.findIndex((gate) => gate.gate === name);
      const had = policy.exit_gates[position];
      if (had === undefined)
        missing(
          'exit_gates',
          index,
          'gate',
          name,
          policy.exit_gates.map(({ gate }) => gate),
        );
      else if (had.loosenable !== true) refuse('exit_gates', index, name, [...phase, 'exit_gates', position]);
      else this.takeOut(policy.exit_gates, [...phase, 'exit_gates'], position);
    });
    remove.required_artifacts.forEach((name, index) => {
      const position = policy.required_artifacts.indexOf(name);
      if (position < 0) missing('required_artifacts', index, 'required artifact', name, policy.required_artifacts);
      else refuse('required_artifacts', index, name, [...phase, 'required_artifacts', position]);
    });
    remove.metrics.forEach((name, index) => {
      const position = policy.metrics.findIndex((target) => target.metric === name);
      const had = policy.metrics[position];
      if (had === undefined)
        missing(
          'metrics',
          index,
          'target',
          name,
          policy.metrics.map(({ metric }) => metric),
        );
      else if (had.loosenable !== true) refuse('metrics', index, name, [...phase, 'metrics', position]);
      else this.takeOut(policy.metrics, [...phase, 'metrics'], position);
    });
  }
}
