import { join, posix } from 'node:path';
import { glob } from 'tinyglobby';
import { FleetError } from '../../../../shared/errors.ts';
import type { Evidence, Finding } from '../../../../shared/verdict.ts';
import type { CollectContext, Collected, CollectedValue } from '../../../collector.ts';
import { readRegularFile } from '../../../hostile-files.ts';
import { lineRanges } from '../line-ranges.ts';
import { copyProject, listProject } from '../project-files.ts';
import { INSIDE, commandEvidence, faultOf, freshFolder, keepReport, runTool } from '../run-tool.ts';
import type { DeclaredCommand, MetricSource } from './measure-file.ts';
import { coverageOf, readCobertura, readLcov } from './read-coverage.ts';
import { countAt, numberAt, readJson, readSarif } from './read-json.ts';
import { readJUnit } from './read-junit.ts';
import { Refusal, refuse } from './refusal.ts';

const MAX_REPORT_BYTES = 32 * 1024 ** 2;

interface Produced {
  text: string;
  exitCode: number | null;
  /** The project's folder as the command saw it. */
  project: string;
  /** Files of the project. */
  files: readonly string[];
}
interface Read {
  value: CollectedValue;
  findings: Finding[];
}

const fill = (text: string): string => text.replaceAll('{out}', INSIDE.out).replaceAll('{project}', INSIDE.project);

/** Runs one declared command in the sandbox and reads the wanted metrics from what it left. */
export async function runDeclared(
  context: CollectContext,
  command: DeclaredCommand,
  wanted: readonly string[],
): Promise<Collected> {
  const out = await freshFolder(context, 'out');
  const { files } = await listProject(context.root);
  const project = command.writes_project ? await freshFolder(context, 'project') : context.root;
  if (command.writes_project) await copyProject(context.root, files, { folder: project, plain: true });
  const mounts = [{ host: out, inside: INSIDE.out, writable: true }];
  const argv = command.argv.map(fill);
  const result = await runTool(context, {
    argv,
    project,
    projectWritable: command.writes_project,
    mounts,
    env: { MAESTRO_OUT: INSIDE.out },
    limits: { wallMs: command.timeout_seconds * 1000 },
  });
  const evidence: Evidence = {
    ...commandEvidence(context, argv, result),
    tool: argv[0] ?? '',
    summary: `declared command ${command.id} ended with code ${result.exitCode}`,
  };
  const all = (reason: string): Collected => ({
    values: Object.fromEntries(wanted.map((metric) => [metric, { notEvaluable: `${command.id}: ${reason}` }])),
    findings: [],
    evidence: [evidence],
  });
  const fault = faultOf({ ...result, truncated: false }, 'the command', command.exit_codes);
  if (fault !== undefined) return all(fault);
  const bytes = await readRegularFile(join(out, command.produces.path), MAX_REPORT_BYTES);
  if (bytes === undefined)
    return all(`left no regular file ${command.produces.path} of at most ${MAX_REPORT_BYTES / 1024 ** 2} MiB in {out}`);
  if (bytes.length === 0) return all(`${command.produces.path} is empty`);
  const text = bytes.toString('utf8');
  const kept = await keepReport(context, `${command.id}-${command.produces.path}`, text);
  const seen = [{ host: project, inside: INSIDE.project, writable: command.writes_project }, ...mounts];
  const produced = { text, exitCode: result.exitCode, project: context.sandbox.pathOf(seen, INSIDE.project), files };
  const collected: Collected = { values: {}, findings: [], evidence: [{ ...evidence, ...kept }] };
  for (const metric of wanted) {
    const source = command.metrics[metric];
    if (source === undefined) continue;
    const read = await readMetric(context, command, { metric, source, produced });
    collected.values[metric] = read.value;
    collected.findings.push(...read.findings);
  }
  return collected;
}

async function readMetric(
  context: CollectContext,
  { id }: DeclaredCommand,
  wanted: { metric: string; source: MetricSource; produced: Produced },
): Promise<Read> {
  try {
    const read = await readSource(context, wanted);
    if (!('notEvaluable' in read.value)) checkRange(context, wanted.metric, read.value.value);
    return read;
  } catch (err) {
    if (!(err instanceof Refusal)) throw err;
    return { value: { notEvaluable: `${id}: ${err.message}` }, findings: [] };
  }
}

async function readSource(
  context: CollectContext,
  { metric, source, produced }: { metric: string; source: MetricSource; produced: Produced },
): Promise<Read> {
  const { text } = produced;
  switch (source.from) {
    case 'junit':
      return readTests(metric, produced);
    case 'json': {
      const document = readJson(text);
      const value = { value: numberAt(document, source.pointer), examined: countAt(document, source.examined) };
      return { value, findings: [] };
    }
    case 'sarif':
      return readFaults(metric, source, produced);
    case 'lcov':
    case 'cobertura': {
      const hits =
        source.from === 'lcov'
          ? readLcov(text, produced.project)
          : readCobertura(text, produced.project, (path) => produced.files.includes(path));
      const matching = await glob(source.sources, {
        cwd: context.root,
        onlyFiles: true,
        followSymbolicLinks: false,
        expandDirectories: false,
      });
      const { value, examined, uncovered } = coverageOf(hits, matching.toSorted());
      const findings = uncovered.flatMap(({ file, lines }) =>
        lineRanges(lines).map(([from, to]) => ({
          metric,
          rule: 'coverage/uncovered',
          message: from === to ? `Line ${from} is not covered` : `Lines ${from} to ${to} are not covered`,
          severity: 'warning' as const,
          file,
          line: from,
        })),
      );
      return { value: { value, examined }, findings };
    }
    default:
      throw new FleetError('INTERNAL', 'a kind of report that nothing reads');
  }
}

function readTests(metric: string, { text, exitCode, files }: Produced): Read {
  const cases = readJUnit(text);
  const passed = cases.filter(({ outcome }) => outcome === 'passed').length;
  const failed = cases.filter(({ outcome }) => outcome === 'failed');
  if (exitCode !== 0 && failed.length === 0)
    refuse(`ended with code ${exitCode}, which no failed test of its report explains`);
  const total = cases.length;
  const values: Record<string, number> = {
    test_pass_rate: passed / total,
    security_testing_complete: passed === total ? 1 : 0,
  };
  const findings = cases
    .filter(({ outcome }) => outcome !== 'passed')
    .map(({ name, file, outcome, message }) => ({
      metric,
      rule: `tests/${outcome}`,
      message: outcome === 'failed' ? `${name}: ${message}` : `${name} is skipped, which does not count as passed`,
      severity: outcome === 'failed' ? ('error' as const) : ('warning' as const),
      ...(file !== undefined && files.includes(file) ? { file, line: 1 } : {}),
    }));
  const isCount = values[metric] === undefined;
  return { value: { value: values[metric] ?? total, examined: total }, findings: isCount ? [] : findings };
}

function readFaults(
  metric: string,
  source: Extract<MetricSource, { from: 'sarif' }>,
  { text, project, files }: Produced,
): Read {
  const { document, artifacts, results } = readSarif(text);
  const examined = source.examined === undefined ? artifacts : countAt(document, source.examined);
  if (examined === 0) refuse('the SARIF report does not say that anything was scanned (artifacts, or `examined`)');
  const levels: readonly string[] = source.levels;
  const found = results.filter(({ level }) => levels.includes(level));
  const local = (uri: string): string => posix.relative(project, posix.resolve(project, uri.replace(/^file:\/\//, '')));
  const findings = found.map(({ rule, level, message, file, line }) => {
    const path = file === undefined ? undefined : local(file);
    return {
      metric,
      rule,
      message,
      severity: level === 'error' ? ('error' as const) : ('warning' as const),
      ...(path !== undefined && files.includes(path) ? { file: path, ...(line === undefined ? {} : { line }) } : {}),
    };
  });
  return { value: { value: found.length, examined }, findings };
}

const RANGES = { flag: 1, ratio: 1, score10: 10, score100: 100 } as const;

/** A number that its metric cannot have was not measured rightly. */
function checkRange(context: CollectContext, metric: string, value: number): void {
  const type = context.metrics[metric]?.type;
  if (type === undefined) return;
  const most = type === 'count' || type === 'amount' ? Number.MAX_SAFE_INTEGER : RANGES[type];
  const isWhole = (type !== 'count' && type !== 'flag') || Number.isInteger(value);
  if (value < 0 || value > most || !isWhole) refuse(`${value} is no ${type}, which ${metric} is`);
}
