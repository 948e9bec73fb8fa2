import { z } from 'zod';
import { errorMessage } from '../../../shared/errors.ts';
import type { Evidence, Finding } from '../../../shared/verdict.ts';
import type { CollectContext, CollectedValue } from '../../collector.ts';
import { codeCollector, defusedCopy, directivesOf, lint } from './measurement.ts';
import { type ProjectCopy, readProjectText } from './project-files.ts';
import { type LintMessage, type LintReport, SecretsReport } from './probe-reports.ts';
import { lintFinding, unparsable } from './quality.ts';
import { failureFindings, junit, runTests } from './run-tests.ts';
import { keepReport, runProbe } from './run-tool.ts';
import { type DependencyCheck, checkAdvisories } from '../operations/advisories.ts';
import { readNpmPackages } from '../operations/npm-packages.ts';
import { type CodeScope, TEST_FILE, declaredDependencies } from './scope.ts';
import { mutedTests } from './test-metrics.ts';
import { hasTypeScript } from './tests.ts';

const METRICS = ['security_vulnerabilities', 'security_scan_complete', 'security_testing_complete'] as const;
const IN_SECURITY = /^tests?\/security\//;
const LOCKS = ['package-lock.json', 'npm-shrinkwrap.json', 'yarn.lock', 'pnpm-lock.yaml', 'bun.lock', 'bun.lockb'];
const NpmLock = z.object({
  packages: z.record(z.string(), z.unknown()).default({}),
  dependencies: z.record(z.string(), z.unknown()).default({}),
});

const NO_PACKAGES: DependencyCheck = {
  findings: [],
  packages: 0,
  evidence: {
    kind: 'file',
    summary: 'package.json and the lock file declare no dependency: 0 of 0 are vulnerable',
  },
};

/** No declared and no locked package: 0 of 0 is established by parsing. Anything else needs advisory data. */
async function judgeDependencies(context: CollectContext, scope: CodeScope): Promise<DependencyCheck> {
  const manifests = scope.files.filter((path) => path.endsWith('/package.json'));
  if (manifests[0] !== undefined)
    return { notEvaluable: `${manifests[0]} is a second manifest, whose dependencies are not checked` };
  const present = await presentPackages(context, scope);
  if (present === undefined) return NO_PACKAGES;
  const checked = await checkAdvisories(context, readNpmPackages);
  return 'notEvaluable' in checked ? { notEvaluable: `${present}: ${checked.notEvaluable}` } : checked;
}

/** What says that there are packages to judge; undefined when nothing declares or locks one. */
async function presentPackages(context: CollectContext, scope: CodeScope): Promise<string | undefined> {
  const declared = declaredDependencies(scope.manifest, 'all');
  if (declared.length > 0) return `${declared.length} dependencies are declared (${declared.slice(0, 3).join(', ')})`;
  for (const lock of LOCKS.filter((path) => scope.files.includes(path))) {
    if (!lock.endsWith('.json')) return `${lock} cannot be checked: only npm's lock files are read`;
    try {
      const parsed = NpmLock.parse(JSON.parse(await readProjectText(context.root, lock)));
      const locked = [
        ...Object.keys(parsed.packages).filter((name) => name !== ''),
        ...Object.keys(parsed.dependencies),
      ];
      if (locked.length > 0) return `${lock} locks ${locked.length} packages`;
    } catch (err) {
      return `${lock} cannot be read: ${errorMessage(err).split('\n')[0]}`;
    }
  }
  return undefined;
}

interface Scan {
  secrets: z.infer<typeof SecretsReport>;
  lint: LintReport;
  statics: readonly LintMessage[];
  dependencies: DependencyCheck;
}

async function scanProject(
  context: CollectContext,
  scope: CodeScope,
): Promise<{ scan: Scan; copy: ProjectCopy; evidence: Evidence[] }> {
  const copy = await defusedCopy(context, scope);
  const found = await runProbe(context, {
    name: 'code-secrets',
    project: copy.folder,
    input: { files: scope.files },
    report: SecretsReport,
  });
  const linted = await lint(context, scope, copy);
  const scan: Scan = {
    secrets: found.report,
    lint: linted.report,
    statics: linted.report.messages.filter(({ isSecurity, severity }) => isSecurity && severity === 'error'),
    dependencies: await judgeDependencies(context, scope),
  };
  const { secrets, statics, dependencies } = scan;
  const report = { secrets, static: statics, dependencies };
  const kept = await keepReport(context, 'scan.json', JSON.stringify(report, null, 2));
  const evidence: Evidence[] = [
    {
      ...found.evidence,
      tool: 'secretlint',
      toolVersion: secrets.version,
      summary: `${secrets.secrets.length} secrets in ${secrets.filesScanned} text files; ${secrets.binarySkipped.length} binary files were not read`,
      ...kept,
    },
    {
      ...linted.evidence,
      summary: `${statics.length} static findings of error level by ${scan.lint.securityRules} rules in ${scan.lint.filesScanned} files`,
    },
    'notEvaluable' in dependencies
      ? { kind: 'file', summary: dependencies.notEvaluable, tree: context.tree }
      : { ...dependencies.evidence, tree: context.tree },
  ];
  return { scan, copy, evidence };
}

const scanFault = ({ secrets, lint: report, dependencies }: Scan): string | undefined => {
  if (secrets.bytesScanned === 0) return 'The secret scan read nothing';
  if (report.filesScanned === 0) return 'The static scan read nothing';
  return unparsable(report) ?? ('notEvaluable' in dependencies ? dependencies.notEvaluable : undefined);
};

const advisoriesOf = ({ dependencies }: Scan): Finding[] => ('findings' in dependencies ? dependencies.findings : []);

const scanFindings = (scan: Scan): Finding[] => [
  ...scan.secrets.secrets.map((secret) => ({
    metric: 'security_vulnerabilities',
    rule: `secretlint/${secret.rule}`,
    message: 'A secret stands in this file: remove it and make it invalid where it is used',
    severity: 'error' as const,
    file: secret.file,
    line: secret.line,
    column: secret.column,
  })),
  ...scan.statics.map((message) => lintFinding('security_vulnerabilities', message)),
  ...advisoriesOf(scan),
];

/**
 * security_vulnerabilities = secrets in any file + static findings of error level + known-vulnerable dependencies.
 * security_scan_complete = 1 when all three scans looked at something and ended.
 * security_testing_complete = 1 when, besides, every security test passes: those in tests/security and those whose
 * title begins with `security:`.
 */
export const security = codeCollector({
  id: 'security',
  metrics: METRICS,
  timeoutMs: 240_000,
  measure: async (context, scope) => {
    const { scan, copy, evidence } = await scanProject(context, scope);
    const fault = scanFault(scan);
    const vulnerabilities = scan.secrets.secrets.length + scan.statics.length + advisoriesOf(scan).length;
    const packages = 'packages' in scan.dependencies ? scan.dependencies.packages : 0;
    const examined = scan.lint.filesScanned + scan.secrets.filesScanned + packages;
    const complete: CollectedValue = fault === undefined ? { value: 1, examined: 3 } : { notEvaluable: fault };
    const testing = await securityTests(context, scope, complete);
    const tamper = directivesOf(copy, scope.files, ['tamper/eslint-disable', 'tamper/secretlint-disable']);
    return {
      values: {
        security_vulnerabilities: fault === undefined ? { value: vulnerabilities, examined } : { notEvaluable: fault },
        security_scan_complete: complete,
        security_testing_complete: testing.value,
      },
      findings: [
        ...scanFindings(scan),
        ...tamper.map((finding) => ({ ...finding, metric: 'security_vulnerabilities' })),
        ...testing.findings,
      ],
      evidence: [...evidence, ...testing.evidence],
    };
  },
});

const none = (reason: string): { value: CollectedValue; findings: Finding[]; evidence: Evidence[] } => ({
  value: { notEvaluable: reason },
  findings: [],
  evidence: [],
});

async function securityTests(
  context: CollectContext,
  scope: CodeScope,
  scan: CollectedValue,
): Promise<{ value: CollectedValue; findings: Finding[]; evidence: Evidence[] }> {
  const metric = 'security_testing_complete';
  if (!(metric in context.metrics)) return none('not wanted here');
  if ('notEvaluable' in scan) return none(`The security scan is not complete: ${scan.notEvaluable}`);
  const candidates = scope.files.filter((path) => TEST_FILE.test(path));
  const texts = await Promise.all(
    candidates.map(async (path) => ({ path, text: await readProjectText(context.root, path) })),
  );
  const files = texts
    .filter(({ path, text }) => IN_SECURITY.test(path) || /['"`]security:/i.test(text))
    .map(({ path }) => path);
  if (files.length === 0)
    return none('There is no security test: none in tests/security and none whose title begins with "security:"');
  const run = await runTests(context, files, { what: 'security tests', hasTypeScript: hasTypeScript(scope) });
  if ('notEvaluable' in run)
    return { value: { notEvaluable: run.notEvaluable }, findings: run.findings, evidence: run.evidence };
  const own = run.cases.filter(({ name, file }) => IN_SECURITY.test(file) || /^security:/i.test(name));
  if (own.length === 0) return none('No security test ran');
  const muted = await mutedTests(context, metric, {
    tests: [...new Set(own.map(({ file }) => file))],
    files: scope.files,
  });
  if (muted[0] !== undefined)
    return {
      value: { notEvaluable: `${muted[0].file} asserts nothing, so its security tests establish nothing` },
      findings: muted,
      evidence: [run.evidence],
    };
  const kept = await keepReport(context, 'junit.xml', junit(run, 'security'));
  const passed = own.filter(({ outcome }) => outcome === 'passed').length;
  return {
    value: { value: passed === own.length ? 1 : 0, examined: own.length },
    findings: failureFindings(metric, { ...run, cases: own }),
    evidence: [{ ...run.evidence, summary: `${passed} of ${own.length} security tests passed`, ...kept }],
  };
}
