import { z } from 'zod';
import { InvalidInputError, type Problem } from '../../../../shared/errors.ts';
import { type YamlFile, nearestHint, parseYaml } from '../../../../shared/yaml-file.ts';
import type { MetricSpec } from '../../../policy-schema.ts';

const Pointer = z.string().regex(/^(?:\/[^/]*)+$/, 'a JSON pointer is written like /totals/lines');

/** How the value of one metric is read from a report. */
const MetricSource = z.discriminatedUnion('from', [
  z.strictObject({ from: z.literal('junit') }),
  /** `sources` says which files of the project count; the report must speak of every one of them. */
  z.strictObject({ from: z.literal('lcov'), sources: z.array(z.string().min(1)).min(1) }),
  z.strictObject({ from: z.literal('cobertura'), sources: z.array(z.string().min(1)).min(1) }),
  z.strictObject({
    from: z.literal('sarif'),
    levels: z
      .array(z.enum(['error', 'warning', 'note']))
      .min(1)
      .default(['error']),
    /** Where the report says how much was scanned, unless it lists the artifacts. */
    examined: Pointer.optional(),
  }),
  z.strictObject({ from: z.literal('json'), pointer: Pointer, examined: Pointer }),
]);
export type MetricSource = z.infer<typeof MetricSource>;

const DeclaredCommand = z.strictObject({
  id: z.string().regex(/^[a-z][a-z0-9-]{0,40}$/, 'a command is named like unit-tests'),
  /** `{out}` stands for the empty folder that the report goes into, `{project}` for the project. */
  argv: z
    .array(z.string())
    .min(1)
    .refine(([program]) => program !== '', 'argv begins with a program'),
  /** True when it must write into the project: then it works on a copy, which is thrown away. */
  writes_project: z.boolean().default(false),
  timeout_seconds: z.number().int().min(1).max(600).default(150),
  /** Exit codes with which the report is complete; many test runners end with 1 when a test failed. */
  exit_codes: z.array(z.number().int().min(0).max(128)).min(1).default([0, 1]),
  produces: z.strictObject({
    path: z.string().regex(/^\w[\w.-]{0,80}$/, 'a report is one file at the top of {out}'),
    format: z.enum(['junit', 'lcov', 'cobertura', 'sarif', 'json']),
  }),
  metrics: z.record(z.string(), MetricSource),
});
export type DeclaredCommand = z.infer<typeof DeclaredCommand>;

/** What a measure file holds, and `measure` of an overlay. */
export const MeasureFile = z.strictObject({ commands: z.array(DeclaredCommand).min(1) });

/** Declared commands, and the file that declares them. */
export interface Declared {
  file: string;
  commands: readonly DeclaredCommand[];
}

const OF_TESTS = new Set(['test_pass_rate', 'test_count', 'total_test_cases', 'security_testing_complete']);
/** Judged by people and reviewers, or recorded by the fleet: no command can stand in for them. */
const NOT_BY_COMMAND = new Set(['review', 'approval', 'run-record']);

/** Reads and checks a measure file: every problem with its line and column. */
export function parseMeasureFile(
  source: { file: string; text: string },
  catalogue: Readonly<Record<string, MetricSpec>>,
): Declared {
  const parsed = parseYaml(MeasureFile, source);
  const { commands } = parsed.value;
  const problems = declaredProblems(parsed, ['commands'], commands, catalogue);
  if (problems.length > 0) throw new InvalidInputError(source.file, problems);
  return { file: source.file, commands };
}

/** Everything that is wrong between commands, wherever they are declared, and the metrics they are to measure. */
export function declaredProblems(
  file: YamlFile<unknown>,
  path: readonly PropertyKey[],
  commands: readonly DeclaredCommand[],
  catalogue: Readonly<Record<string, MetricSpec>>,
): Problem[] {
  const problems = commands.flatMap((command, index) => problemsOf(file, command, [...path, index], catalogue));
  const seen = new Set<string>();
  commands.forEach(({ id, metrics }, index) => {
    for (const name of [`command ${id}`, ...Object.keys(metrics).map((metric) => `metric ${metric}`)]) {
      const at = file.positionOf([...path, index, 'id']);
      if (seen.has(name)) problems.push({ ...at, message: `${name} is declared twice` });
      seen.add(name);
    }
  });
  return problems;
}

function problemsOf(
  file: YamlFile<unknown>,
  command: DeclaredCommand,
  path: readonly PropertyKey[],
  catalogue: Readonly<Record<string, MetricSpec>>,
): Problem[] {
  const { format } = command.produces;
  const declared = Object.entries(command.metrics);
  if (declared.length === 0) return [{ ...file.positionOf(path), message: `${command.id} measures no metric` }];
  return declared.flatMap(([metric, source]) => {
    const problem = (message: string): Problem[] => [
      { ...file.positionOf([...path, 'metrics', metric], 'key'), message },
    ];
    const spec = Object.hasOwn(catalogue, metric) ? catalogue[metric] : undefined;
    if (spec === undefined) return problem(`unknown metric "${metric}"${nearestHint(metric, Object.keys(catalogue))}`);
    if (NOT_BY_COMMAND.has(spec.collector))
      return problem(`${metric} is recorded or judged, and no command can measure it`);
    if (source.from !== format)
      return problem(`${metric} is read from ${source.from}, but ${command.id} produces ${format}`);
    if (source.from === 'junit' && !OF_TESTS.has(metric))
      return problem(`${metric} cannot be read from junit, only ${[...OF_TESTS].join(', ')}`);
    if ((source.from === 'lcov' || source.from === 'cobertura') && metric !== 'test_coverage')
      return problem(`${metric} cannot be read from ${source.from}, only test_coverage`);
    if (source.from === 'sarif' && (spec.type !== 'count' || spec.direction !== 'max'))
      return problem(`${metric} cannot be read from sarif, which counts faults`);
    return [];
  });
}
