import type { Evidence, Finding } from '../../../../shared/verdict.ts';
import type { CollectContext, CollectedValue } from '../../../collector.ts';
import { type DependencyCheck, checkAdvisories } from '../../operations/advisories.ts';
import { readPythonPackages } from '../../operations/python-packages.ts';
import { SecretsReport } from '../probe-reports.ts';
import { copyProject } from '../project-files.ts';
import { failureFindings, junit } from '../run-tests.ts';
import { freshFolder, keepReport, runProbe } from '../run-tool.ts';
import { analyse, directiveFindings, pythonCollector, readManifests, runPythonProbe, unparsable } from './probe.ts';
import { ScanReport } from './reports.ts';
import { runPytest } from './run-pytest.ts';
import type { PythonScope } from './scope.ts';

const METRICS = ['security_vulnerabilities', 'security_scan_complete', 'security_testing_complete'] as const;
const METRIC = 'security_vulnerabilities';

/** No declared and no locked package: 0 of 0 is established by parsing. Anything else needs advisory data. */
async function judgeDependencies(context: CollectContext, scope: PythonScope): Promise<DependencyCheck> {
  const { report, fault } = await readManifests(context, scope);
  if (fault !== undefined) return { notEvaluable: fault };
  const names = [...new Set([...report.run, ...report.other])];
  const pipfile = scope.files.includes('Pipfile') && !scope.files.includes('Pipfile.lock');
  if (pipfile) return { notEvaluable: 'Pipfile declares packages and there is no Pipfile.lock: commit it' };
  if (names.length + report.locked.length === 0)
    return report.manifests === 0
      ? { notEvaluable: 'No manifest says which packages the project depends on' }
      : {
          findings: [],
          packages: 0,
          evidence: {
            kind: 'file',
            summary: `${scope.manifests.join(', ')} declare no dependency: 0 of 0 are vulnerable`,
          },
        };
  const present =
    names.length > 0
      ? `${names.length} dependencies are declared (${names.slice(0, 3).join(', ')})`
      : `${report.locked[0]?.file ?? 'the lock file'} locks packages (${report.locked.length})`;
  const checked = await checkAdvisories(context, readPythonPackages);
  if ('notEvaluable' in checked) return { notEvaluable: `${present}: ${checked.notEvaluable}` };
  if (report.locked.length > 0) return checked;
  const note = {
    metric: METRIC,
    rule: 'dependencies/not-locked',
    message: 'What these packages ask for in turn is in no lock file, so it was held against no advisory: commit one',
    severity: 'warning' as const,
    ...(scope.manifests[0] === undefined ? {} : { file: scope.manifests[0] }),
  };
  return { ...checked, findings: [...checked.findings, note] };
}

const advisoriesOf = (dependencies: DependencyCheck): Finding[] =>
  'findings' in dependencies ? dependencies.findings : [];

/** The same three metrics as for JavaScript, with bandit in the place of the lint rules. */
export const pythonSecurity = pythonCollector({
  id: 'security',
  metrics: METRICS,
  timeoutMs: 240_000,
  measure: async (context, scope) => {
    const copy = await copyProject(context.root, scope.files, {
      folder: await freshFolder(context, 'copy'),
      plain: false,
    });
    const secrets = await runProbe(context, {
      name: 'code-secrets',
      project: copy.folder,
      input: { files: scope.files },
      report: SecretsReport,
    });
    const files = [...scope.sources, ...scope.otherCode];
    const statics = await runPythonProbe(context, { name: 'security_scan', input: { files }, report: ScanReport });
    const syntax = await analyse(context, files);
    const dependencies = await judgeDependencies(context, scope);
    const advisories = advisoriesOf(dependencies);
    const known = advisories.filter(({ rule }) => rule.startsWith('advisory/')).length;
    const unjudged = 'notEvaluable' in dependencies ? dependencies.notEvaluable : undefined;
    const { report: scan } = statics;
    const found = scan.messages.filter(({ severity }) => severity === 'error');
    const fault = scanFault(secrets.report, scan, files.length) ?? unparsable(syntax.report) ?? unjudged;
    const vulnerabilities = secrets.report.secrets.length + found.length + known;
    const packages = 'packages' in dependencies ? dependencies.packages : 0;
    const examined = scan.filesScanned + secrets.report.filesScanned + packages;
    const complete: CollectedValue = fault === undefined ? { value: 1, examined: 3 } : { notEvaluable: fault };
    const testing = await securityTests(context, scope, complete);
    const text = { secrets: secrets.report, static: scan, dependencies };
    const kept = await keepReport(context, 'scan.json', JSON.stringify(text, null, 2));
    return {
      values: {
        security_vulnerabilities: fault === undefined ? { value: vulnerabilities, examined } : { notEvaluable: fault },
        security_scan_complete: complete,
        security_testing_complete: testing.value,
      },
      findings: [
        ...scanFindings(secrets.report, scan),
        ...advisories,
        ...directiveFindings(syntax.report, METRIC, ['tamper/nosec']),
        ...copy.directives.map((finding) => ({ ...finding, metric: METRIC })),
        ...testing.findings,
      ],
      evidence: [
        {
          ...secrets.evidence,
          tool: 'secretlint',
          toolVersion: secrets.report.version,
          summary: `${secrets.report.secrets.length} secrets in ${secrets.report.filesScanned} text files; ${secrets.report.binarySkipped.length} binary files were not read`,
          ...kept,
        },
        {
          ...statics.evidence,
          tool: 'bandit',
          toolVersion: `${scan.bandit} (Python ${scan.python})`,
          summary: `${found.length} findings of medium or high severity, or of passwords, in ${scan.filesScanned} files`,
        },
        'notEvaluable' in dependencies
          ? { kind: 'file', summary: dependencies.notEvaluable, tree: context.tree }
          : { ...dependencies.evidence, tree: context.tree },
        ...testing.evidence,
      ],
    };
  },
});

function scanFault(secrets: { bytesScanned: number }, scan: ScanReport, files: number): string | undefined {
  const [skipped] = scan.skipped;
  if (secrets.bytesScanned === 0) return 'The secret scan read nothing';
  if (scan.blindTo.length > 0)
    return `bandit ${scan.bandit} does not see planted defects under Python ${scan.python} (${scan.blindTo.join(', ')})`;
  if (skipped) return `bandit could not read ${skipped.file}: ${skipped.message}`;
  return scan.filesScanned === files ? undefined : `bandit read ${scan.filesScanned} of ${files} files`;
}

const scanFindings = (
  secrets: { secrets: { file: string; line: number; column: number; rule: string }[] },
  scan: ScanReport,
): Finding[] => [
  ...secrets.secrets.map((secret) => ({
    metric: METRIC,
    rule: `secretlint/${secret.rule}`,
    message: 'A secret stands in this file: remove it and make it invalid where it is used',
    severity: 'error' as const,
    file: secret.file,
    line: secret.line,
    column: secret.column,
  })),
  ...scan.messages.map((message) => ({ ...message, metric: METRIC, rule: `bandit/${message.rule}` })),
];

const none = (reason: string): { value: CollectedValue; findings: Finding[]; evidence: Evidence[] } => ({
  value: { notEvaluable: reason },
  findings: [],
  evidence: [],
});

async function securityTests(
  context: CollectContext,
  scope: PythonScope,
  scan: CollectedValue,
): Promise<{ value: CollectedValue; findings: Finding[]; evidence: Evidence[] }> {
  const metric = 'security_testing_complete';
  if (!(metric in context.metrics)) return none('not wanted here');
  if ('notEvaluable' in scan) return none(`The security scan is not complete: ${scan.notEvaluable}`);
  const files = scope.allTests.filter((path) => /(?:^|\/)tests?\/security\//.test(path));
  if (files.length === 0) return none('There is no security test: none in tests/security');
  const run = await runPytest(context, scope, files, { what: 'security tests', coverage: false });
  if ('notEvaluable' in run)
    return { value: { notEvaluable: run.notEvaluable }, findings: run.findings, evidence: run.evidence };
  const kept = await keepReport(context, 'junit.xml', junit(run, 'security'));
  return {
    value: { value: run.passed === run.cases.length ? 1 : 0, examined: run.cases.length },
    findings: failureFindings(metric, run),
    evidence: [{ ...run.evidence, ...kept }],
  };
}
