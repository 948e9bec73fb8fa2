import { z } from 'zod';
import { EXIT, InvalidInputError, type Problem, errorMessage } from '../shared/errors.ts';
import type { ArtifactResult, Measurement, PhaseVerdict } from '../shared/verdict.ts';
import { nearestHint, parseYaml } from '../shared/yaml-file.ts';
import { type EvaluateInput, evaluatePhase } from './evaluate.ts';
import { type PolicySet, findPolicy } from './load-policy.ts';

/** What `maestro gates eval --metrics M.json` reads. A value of any kind is taken; what is no number is an error of its gate. */
const SuppliedMetrics = z.strictObject({
  metrics: z.record(z.string(), z.unknown()),
  artifacts: z.array(z.string()).default([]),
});

export interface SuppliedInput {
  policySet: PolicySet;
  phase: string;
  /** A policy by name, instead of the one of the phase. */
  policyName?: string;
  /** The text of M.json, and its name for messages. */
  text: string;
  file: string;
  bypasses?: EvaluateInput['bypasses'];
  baseline?: EvaluateInput['baseline'];
}

/** Judges supplied values: no files, no collectors. Throws `InvalidInputError` for a file that cannot be understood. */
export function evaluateSupplied(input: SuppliedInput): PhaseVerdict {
  const { policySet, phase, policyName, text, file } = input;
  const { policy, fallback } = findPolicy(policySet, phase, policyName);
  const names = namesIn(parseJson(text, file));
  const yaml = parseYaml(SuppliedMetrics, { file, text: respell(text, (token) => SPELT[token] ?? token) });
  const known = Object.keys(policySet.metrics);
  const knownArtifacts = Object.keys(policySet.artifacts);
  const problems: Problem[] = [
    ...names
      .filter((name) => !known.includes(name))
      .map((name) => ({
        ...yaml.positionOf(['metrics', name], 'key'),
        message: `"${name}" is not a declared metric${nearestHint(name, known)}`,
      })),
    ...yaml.value.artifacts.flatMap((name, index) =>
      knownArtifacts.includes(name)
        ? []
        : [
            {
              ...yaml.positionOf(['artifacts', index]),
              message: `"${name}" is not in the artifact catalogue${nearestHint(name, knownArtifacts)}`,
            },
          ],
    ),
  ];
  if (problems.length > 0) throw new InvalidInputError(file, problems);
  return evaluatePhase({
    policySet,
    policy,
    phase,
    fallback,
    measurements: Object.entries(yaml.value.metrics).map(([name, value]) => supplied(name, value)),
    artifacts: yaml.value.artifacts.map(present),
    suppliedOnly: true,
    ...(input.bypasses === undefined ? {} : { bypasses: input.bypasses }),
    ...(input.baseline === undefined ? {} : { baseline: input.baseline }),
  });
}

/** The exit code of `maestro gates` for a verdict. */
export const exitCodeOf = (verdict: Pick<PhaseVerdict, 'verdict'>): number =>
  verdict.verdict === 'blocked' ? EXIT.blocked : EXIT.passed;

/** Python and others write NaN and infinities bare; in YAML they are spelt otherwise. */
const SPELT: Readonly<Record<string, string>> = { NaN: '.nan', Infinity: '.inf', '-Infinity': '-.inf' };
const respell = (text: string, spelling: (token: string) => string): string =>
  text.replaceAll(/"(?:[^"\\]|\\.)*"|\bNaN\b|-?\bInfinity\b/g, (token) =>
    Object.hasOwn(SPELT, token) ? spelling(token) : token,
  );

/** YAML would take more than JSON, such as comments. M.json is JSON, and NaN and infinities beside it. */
function parseJson(text: string, file: string): unknown {
  try {
    const parsed: unknown = JSON.parse(respell(text, () => '0'));
    return parsed;
  } catch (err) {
    const offset = /position (\d+)/.exec(errorMessage(err))?.[1];
    const before = text.slice(0, Number(offset ?? 0)).split('\n');
    throw new InvalidInputError(file, [
      {
        file,
        line: before.length,
        column: (before.at(-1)?.length ?? 0) + 1,
        message: `not JSON: ${errorMessage(err)}`,
      },
    ]);
  }
}

/** The names as written: a schema would silently drop one such as `__proto__`. */
function namesIn(document: unknown): string[] {
  if (typeof document !== 'object' || document === null || !('metrics' in document)) return [];
  const { metrics } = document;
  return typeof metrics === 'object' && metrics !== null ? Object.keys(metrics) : [];
}

function supplied(metric: string, value: unknown): Measurement {
  const base = { metric, collector: 'supplied', collectorVersion: '1', evidence: [] };
  if (typeof value === 'number' && Number.isFinite(value)) {
    return { ...base, status: 'measured', value, examined: 0, source: 'supplied', simulated: false };
  }
  return { ...base, status: 'not_evaluable', reason: `the supplied value is ${described(value)}, not a finite number` };
}

function described(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return `the text ${JSON.stringify(value.slice(0, 40))}`;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : 'an object';
}

const present = (artifact: string): ArtifactResult => ({
  artifact,
  required: false,
  outcome: 'present',
  files: [],
  message: 'supplied',
});
