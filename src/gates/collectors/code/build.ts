import { lstat, mkdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { SandboxMount } from '../../../shared/sandbox/sandbox.ts';
import type { Evidence, Finding } from '../../../shared/verdict.ts';
import type { CollectContext } from '../../collector.ts';
import { codeCollector, defusedCopy, directivesOf } from './measurement.ts';
import { TypesReport } from './probe-reports.ts';
import { copyProject, listProject } from './project-files.ts';
import { commandEvidence, freshFolder, INSIDE, keepReport, notEvaluable, runProbe, runTool } from './run-tool.ts';
import { type CodeScope, declaredDependencies } from './scope.ts';

const METRIC = 'build_success_rate';
const CANNOT_FIND_MODULE = new Set([2307, 2792]);

interface Step {
  name: string;
  /** Undefined when it could not be established whether the step succeeds. */
  succeeded: boolean | undefined;
  reason: string;
  findings: Finding[];
  evidence: Evidence;
}

/**
 * build_success_rate = build steps that succeeded / build steps. The steps are `npm run build` when the project
 * declares it, and the fleet's own type check, which also stands for a declared `typecheck` script.
 */
export const build = codeCollector({
  id: 'build',
  metrics: [METRIC],
  timeoutMs: 240_000,
  measure: async (context, scope) => {
    const { scripts } = scope.manifest;
    if (scripts['build'] === undefined && scripts['typecheck'] === undefined)
      return notEvaluable(
        [METRIC],
        'package.json declares neither a build nor a typecheck script: there is nothing to build',
      );
    const steps = [
      ...(scripts['build'] === undefined ? [] : [await buildStep(context, scope)]),
      await typeStep(context, scope),
    ];
    const evidence = steps.map((step) => step.evidence);
    const findings = steps.flatMap((step) => step.findings);
    const unknown = steps.find(({ succeeded }) => succeeded === undefined);
    if (unknown) return { ...notEvaluable([METRIC], `${unknown.name}: ${unknown.reason}`, evidence), findings };
    const good = steps.filter(({ succeeded }) => succeeded === true).length;
    return { values: { [METRIC]: { value: good / steps.length, examined: steps.length } }, findings, evidence };
  },
});

/** Declared packages that are not there; without a network they cannot be fetched. */
async function missingDependencies(context: CollectContext, scope: CodeScope): Promise<string[]> {
  const found = await Promise.all(
    declaredDependencies(scope.manifest, 'all').map(async (name) => ({
      name,
      isThere: await stat(join(context.root, 'node_modules', name, 'package.json')).then(
        (info) => info.isFile(),
        () => false,
      ),
    })),
  );
  return found.filter(({ isThere }) => !isThere).map(({ name }) => name);
}

/** The project's own installed packages, where it has any; the mount point must exist in a copy. */
async function modulesMount(context: CollectContext, copy: string): Promise<SandboxMount[]> {
  const host = join(context.root, 'node_modules');
  const isThere = await stat(host).then(
    (info) => info.isDirectory(),
    () => false,
  );
  if (!isThere) return [];
  await mkdir(join(copy, 'node_modules'), { recursive: true });
  return [{ host: await realpath(host), inside: `${INSIDE.project}/node_modules`, writable: false }];
}

async function buildStep(context: CollectContext, scope: CodeScope): Promise<Step> {
  const folder = await freshFolder(context, 'build');
  await copyProject(context.root, scope.files, { folder, plain: true });
  const mounts = await modulesMount(context, folder);
  // Given here, so that an .npmrc of the project cannot put a program of its own in the shell's place.
  const argv = [
    'npm',
    'run',
    'build',
    '--script-shell=sh',
    '--offline',
    '--no-update-notifier',
    '--no-fund',
    '--no-audit',
  ];
  const result = await runTool(context, {
    argv,
    project: folder,
    projectWritable: true,
    mounts,
    limits: { outputBytes: 2 * 1024 ** 2 },
  });
  const log = `${result.stdout}\n${result.stderr}`.trim();
  const kept = await keepReport(context, 'build.log', `$ npm run build\n${log}\n(exit code ${result.exitCode})\n`);
  const evidence = {
    ...commandEvidence(context, argv, result),
    ...kept,
    tool: 'npm',
    summary: `npm run build ended with code ${result.exitCode}`,
  };
  const step = (succeeded: boolean | undefined, reason: string): Step => ({
    name: 'npm run build',
    succeeded,
    reason,
    findings:
      succeeded === true
        ? []
        : [
            {
              metric: METRIC,
              rule: 'build/failed',
              message: `npm run build: ${reason}`,
              severity: 'error',
              file: 'package.json',
            },
          ],
    evidence,
  });
  if (result.endedBy === 'timeout') return step(false, 'did not end within its time limit');
  if (result.endedBy !== 'exit') return step(undefined, 'was stopped before it ended');
  if (result.exitCode !== 0) {
    const missing = await missingDependencies(context, scope);
    const why = tail(log);
    return missing.length > 0
      ? step(undefined, `failed, and these declared packages are not installed: ${missing.join(', ')} (${why})`)
      : step(false, `ended with code ${result.exitCode}: ${why}`);
  }
  const made =
    (await listProject(folder)).files.filter((path) => !scope.files.includes(path)).length + (await countBuilt(folder));
  return made > 0 ? step(true, '') : step(undefined, 'ended with 0 but made no file in dist/');
}

async function countBuilt(folder: string): Promise<number> {
  const dist = join(folder, 'dist');
  const info = await lstat(dist).catch(() => undefined);
  if (info?.isDirectory() !== true) return 0;
  return (await listProject(dist)).files.length;
}

const tail = (log: string): string =>
  log
    .split('\n')
    .filter(
      (line) => line.trim() !== '' && !/^npm (?:error|ERR!) (?:A complete log|Lifecycle|path|workspace)/.test(line),
    )
    .slice(-6)
    .join(' | ')
    .slice(-600);

const isPage = (path: string): boolean => path.startsWith('src/frontend/');

async function typeStep(context: CollectContext, scope: CodeScope): Promise<Step> {
  const copy = await defusedCopy(context, scope);
  const mounts = await modulesMount(context, copy.folder);
  const groups = [
    { name: 'service', files: scope.sources.filter((path) => !isPage(path)), browser: false },
    { name: 'page', files: scope.sources.filter(isPage), browser: true },
  ].filter(({ files }) => files.length > 0);
  const { report, evidence } = await runProbe(context, {
    name: 'code-types',
    project: copy.folder,
    input: { groups },
    report: TypesReport,
    mounts,
  });
  const kept = await keepReport(context, 'types.json', JSON.stringify(report.problems, null, 2));
  const step = (succeeded: boolean | undefined, reason: string): Step => ({
    name: 'type check',
    succeeded,
    reason,
    findings: [...report.problems.map(typeFinding), ...tamper],
    evidence: {
      ...evidence,
      ...kept,
      tool: 'tsc',
      toolVersion: report.version,
      summary: `type check with the fleet's own settings: ${report.problems.length} errors in ${report.filesChecked} files (${scope.description})`,
    },
  });
  const tamper = directivesOf(copy, scope.sources, ['tamper/ts-nocheck', 'tamper/ts-ignore']).map((finding) => ({
    ...finding,
    metric: METRIC,
  }));
  if (report.filesChecked === 0) return step(undefined, 'looked at no file');
  const missing = await missingDependencies(context, scope);
  const unresolved = report.problems.find(
    ({ code, message }) => CANNOT_FIND_MODULE.has(code) && missing.some((name) => message.includes(`'${name}`)),
  );
  if (unresolved) return step(undefined, `these declared packages are not installed: ${missing.join(', ')}`);
  return step(report.problems.length === 0, `${report.problems.length} type errors`);
}

const typeFinding = (problem: TypesReport['problems'][number]): Finding => ({
  metric: METRIC,
  rule: `tsc/TS${problem.code}`,
  message: problem.message,
  severity: 'error',
  ...(problem.file === undefined ? {} : { file: problem.file }),
  ...(problem.line === undefined ? {} : { line: problem.line }),
  ...(problem.column === undefined ? {} : { column: problem.column }),
});
