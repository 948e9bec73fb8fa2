import type { Problem } from '../../shared/errors.ts';
import { type YamlFile, nearestHint } from '../../shared/yaml-file.ts';
import { METRIC_RANGES } from '../check-policy.ts';
import type { ContractGate, PersonaContracts } from '../persona-contracts-schema.ts';
import type { PolicyFile } from '../policy-schema.ts';

/** Metrics that only a reviewer or a person can give. A contract holds work to what is measured. */
const JUDGED = ['review', 'approval'];

/** Checks that every name in the contracts means something beside a policy file, and that every number can be reached. */
export function contractProblems(yaml: YamlFile<PersonaContracts>, file: PolicyFile): Problem[] {
  const { value, positionOf } = yaml;
  const gates = [
    ...gatesUnder(['default_quality_gates'], value.default_quality_gates),
    ...Object.entries(value.personas).flatMap(([persona, contract]) =>
      gatesUnder(['personas', persona, 'quality_gates'], contract.quality_gates),
    ),
  ];
  const known = [...Object.keys(file.artifacts), ...Object.keys(value.artifacts)];
  return [
    ...gates.flatMap(({ path, gate }) => gateProblems(file, gate, (key) => positionOf([...path, key]))),
    ...Object.keys(value.artifacts)
      .filter((name) => Object.hasOwn(file.artifacts, name))
      .map((name) => ({
        ...positionOf(['artifacts', name], 'key'),
        message: `artifact "${name}" is in the catalogue of the phase policies already`,
      })),
    ...Object.entries(value.personas).flatMap(([persona, { required_artifacts }]) =>
      required_artifacts.flatMap((name, index) => {
        const at = positionOf(['personas', persona, 'required_artifacts', index]);
        if (required_artifacts.indexOf(name) !== index)
          return [{ ...at, message: `artifact "${name}" is listed twice` }];
        return known.includes(name)
          ? []
          : [{ ...at, message: `"${name}" is not in the artifact catalogue${nearestHint(name, known)}` }];
      }),
    ),
  ];
}

const gatesUnder = (
  path: readonly string[],
  gates: Readonly<Record<string, ContractGate>>,
): { path: string[]; gate: ContractGate }[] =>
  Object.entries(gates).map(([name, gate]) => ({ path: [...path, name], gate }));

function gateProblems(
  { metrics }: PolicyFile,
  { metric, threshold, direction }: ContractGate,
  at: (key: string) => ReturnType<YamlFile<unknown>['positionOf']>,
): Problem[] {
  const spec = Object.hasOwn(metrics, metric) ? metrics[metric] : undefined;
  if (spec === undefined)
    return [
      { ...at('metric'), message: `"${metric}" is not a declared metric${nearestHint(metric, Object.keys(metrics))}` },
    ];
  const [low, high] = METRIC_RANGES[spec.type];
  return [
    ...(JUDGED.includes(spec.collector)
      ? [{ ...at('metric'), message: `${metric} is a judgement; a contract holds work to what is measured` }]
      : []),
    ...(spec.direction === direction
      ? []
      : [{ ...at('direction'), message: `direction of ${metric} is ${spec.direction}, not ${direction}` }]),
    ...(threshold >= low && threshold <= high
      ? []
      : [{ ...at('threshold'), message: `${metric} is a ${spec.type}: ${threshold} can never decide anything` }]),
  ];
}
