import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { PolicySource } from '../shared/definitions.ts';
import { FleetError, InvalidInputError, type Problem } from '../shared/errors.ts';
import { type YamlFile, nearestHint, parseYaml } from '../shared/yaml-file.ts';
import { checkPolicy } from './check-policy.ts';
import { type Declared, declaredProblems } from './collectors/code/declared/measure-file.ts';
import type { LoadedPolicy } from './loaded-policy.ts';
import { loosenableProblems } from './loosenable.ts';
import { OverlayFile } from './overlay-schema.ts';
import { applyOverlay } from './overlay.ts';
import { contractProblems } from './contracts/check-contracts.ts';
import { PersonaContracts } from './persona-contracts-schema.ts';
import { type ArtifactSpec, type MetricSpec, PolicyFile } from './policy-schema.ts';

/** A policy file that was checked whole: every name in it means something, every condition can be evaluated. */
export interface PolicySet {
  file: PolicyFile;
  settings: PolicyFile['global_settings'];
  metrics: Readonly<Record<string, MetricSpec>>;
  artifacts: Readonly<Record<string, ArtifactSpec>>;
  policies: ReadonlyMap<string, LoadedPolicy>;
  contracts: PersonaContracts | undefined;
  /** Commands that measure in place of collectors, as an overlay declares them. */
  declared: Declared | undefined;
  /** sha256 over the files as read: two verdicts with the same digest were judged by the same rules. */
  digest: string;
}

/** The policy that judges every phase no other policy names. */
export const FALLBACK_POLICY = 'custom_component';
/** Said aloud in a workflow: a phase that is not gated. */
export const NO_POLICY = 'none';
const isContracts = (source: PolicySource): boolean => /(^|[\\/])persona_contracts[^\\/]*$/.test(source.file);

/**
 * Loads one policy file, and beside it optionally the persona contracts and an overlay.
 * Throws one `InvalidInputError` with every problem, each with file, line and column.
 */
export function loadPolicySet(sources: readonly PolicySource[]): PolicySet {
  const overlays = sources.filter((candidate) => candidate.kind === 'overlay');
  const files = sources.filter((candidate) => candidate.kind === undefined);
  const [source, ...others] = files.filter((candidate) => !isContracts(candidate));
  if (!source) throw new FleetError('BAD_INPUT', 'no policy file was given', { remedy: 'Name a policy file.' });
  const problems: Problem[] = [
    ...others.map((other) =>
      surplus(other, `a second policy file beside ${source.file}: one policy file judges a run`),
    ),
    ...overlays.slice(1).map((other) => surplus(other, 'a second overlay: one overlay changes the policies of a run')),
  ];
  const contractsSource = files.find(isContracts);
  const contracts = contractsSource && attempt(problems, () => parseChecked(PersonaContracts, contractsSource));
  const base = attempt(problems, () => parseChecked(PolicyFile, source));
  const texts = new Map(sources.map(({ file, text }) => [file, text]));
  let judged = base && { file: base.value, ...checkPolicy(base, texts) };
  problems.push(...(judged?.problems ?? []));
  if (base && judged) problems.push(...loosenableProblems(base, judged.policies));
  const [overlaySource] = overlays;
  let declared: Declared | undefined;
  if (base && overlaySource && problems.length === 0) {
    const overlay = attempt(problems, () => parseChecked(OverlayFile, overlaySource));
    const overlaid = overlay && applyOverlay(base, source, overlay);
    problems.push(...(overlaid?.problems ?? []));
    if (overlay?.value.measure) {
      const { commands } = overlay.value.measure;
      problems.push(...declaredProblems(overlay, ['measure', 'commands'], commands, base.value.metrics));
      declared = { file: overlaySource.file, commands };
    }
    if (overlaid && problems.length === 0) {
      judged = { file: overlaid.yaml.value, ...checkPolicy(overlaid.yaml, texts) };
      problems.push(...judged.problems);
    }
  }
  if (judged && contracts) problems.push(...contractProblems(contracts, judged.file));
  if (!judged || problems.length > 0) throw new InvalidInputError(problems[0]?.file ?? source.file, problems);
  const digest = createHash('sha256');
  for (const each of sources) digest.update(`${each.text.length}:`).update(each.text);
  const { file, policies } = judged;
  return {
    file,
    settings: file.global_settings,
    metrics: file.metrics,
    artifacts: { ...file.artifacts, ...contracts?.value.artifacts },
    policies,
    contracts: contracts?.value,
    declared,
    digest: digest.digest('hex'),
  };
}

const surplus = ({ file }: PolicySource, message: string): Problem => ({ file, line: 1, column: 1, message });

function attempt<T>(problems: Problem[], parse: () => T): T | undefined {
  try {
    return parse();
  } catch (err) {
    if (!(err instanceof InvalidInputError)) throw err;
    problems.push(...err.problems);
    return undefined;
  }
}

/** Like `parseYaml`, and an unknown key is answered with the nearest key there is. */
function parseChecked<S extends z.ZodType>(schema: S, source: PolicySource): YamlFile<z.infer<S>> {
  try {
    return parseYaml(schema, source);
  } catch (err) {
    if (!(err instanceof InvalidInputError)) throw err;
    const keys = propertyNames(z.toJSONSchema(schema, { io: 'input' }));
    throw new InvalidInputError(
      source.file,
      err.problems.map((problem) => {
        const unknown = /unknown key "(.*)"$/.exec(problem.message)?.[1];
        return unknown ? { ...problem, message: problem.message + nearestHint(unknown, keys) } : problem;
      }),
    );
  }
}

function propertyNames(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  return Object.entries(schema).flatMap(([key, value]: [string, unknown]) => [
    ...(key === 'properties' && typeof value === 'object' && value !== null ? Object.keys(value) : []),
    ...propertyNames(value),
  ]);
}

/** JSON Schema of a policy file, for editors. */
export const policyJsonSchema = (): Record<string, unknown> => z.toJSONSchema(PolicyFile, { io: 'input' });
/** JSON Schema of the persona contracts, for editors. */
export const contractsJsonSchema = (): Record<string, unknown> => z.toJSONSchema(PersonaContracts, { io: 'input' });
/** JSON Schema of an overlay, for editors. */
export const overlayJsonSchema = (): Record<string, unknown> => z.toJSONSchema(OverlayFile, { io: 'input' });

/** Which policy judges a phase: the one named, the phase's own, `service_template` for `service_*`, else the fallback. */
export function findPolicy(set: PolicySet, phase: string, policyName?: string): { policy: string; fallback: boolean } {
  if (policyName === NO_POLICY) return { policy: NO_POLICY, fallback: false };
  if (policyName !== undefined) return { policy: policyOf(set, policyName).name, fallback: false };
  if (set.policies.has(phase)) return { policy: phase, fallback: false };
  if (phase.startsWith('service_') && set.policies.has('service_template')) {
    return { policy: 'service_template', fallback: false };
  }
  return { policy: FALLBACK_POLICY, fallback: true };
}

/** A policy by its name. Throws `BAD_INPUT` with the nearest name. */
export function policyOf(set: PolicySet, name: string): LoadedPolicy {
  const policy = set.policies.get(name);
  if (policy) return policy;
  const names = [...set.policies.keys()];
  throw new FleetError('BAD_INPUT', `there is no policy "${name}"${nearestHint(name, names)}`, {
    remedy: `Use one of: ${names.join(', ')}.`,
  });
}

/** Every metric that a policy reads in its gates, criteria and targets, in alphabetical order. */
export function requiredMetrics(set: PolicySet, policy: string): string[] {
  if (policy === NO_POLICY) return [];
  const loaded = policyOf(set, policy);
  const names = [
    ...loaded.gates.flatMap((gate) => gate.condition.metrics),
    ...Object.keys(loaded.policy.success_criteria),
    ...loaded.targets.flatMap((target) => target.condition.metrics),
  ];
  return [...new Set(names)].toSorted();
}

/** The judgements a policy needs from reviewers and from people in a role. */
export function judgementMetrics(
  set: PolicySet,
  policy: string,
): {
  reviews: { metric: string; reviewer: string; question: string }[];
  approvals: { metric: string; role: string }[];
} {
  const wanted = requiredMetrics(set, policy).map((metric) => ({ metric, spec: set.metrics[metric] }));
  return {
    reviews: wanted.flatMap(({ metric, spec }) =>
      spec?.reviewer !== undefined && spec.question !== undefined
        ? [{ metric, reviewer: spec.reviewer, question: spec.question }]
        : [],
    ),
    approvals: wanted.flatMap(({ metric, spec }) => (spec?.role !== undefined ? [{ metric, role: spec.role }] : [])),
  };
}
