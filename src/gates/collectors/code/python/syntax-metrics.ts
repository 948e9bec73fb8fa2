import { keepReport, notEvaluable } from '../run-tool.ts';
import { analyse, pythonCollector, readManifests, runPythonProbe, unparsable } from './probe.ts';
import { ScanReport } from './reports.ts';

/** stub_rate = functions that hold no real work / functions. */
export const pythonStubs = pythonCollector({
  id: 'stubs',
  metrics: ['stub_rate'],
  timeoutMs: 60_000,
  measure: async (context, scope) => {
    const { report, evidence } = await analyse(context, scope.sources);
    const fault = unparsable(report);
    if (fault !== undefined) return notEvaluable(['stub_rate'], fault, [evidence]);
    if (report.functions === 0)
      return notEvaluable(['stub_rate'], `There is no function in ${scope.description}`, [evidence]);
    const kept = await keepReport(context, 'stubs.json', JSON.stringify(report.stubs, null, 2));
    const summary = `${report.stubs.length} stubs among ${report.functions} functions (${scope.description})`;
    return {
      values: { stub_rate: { value: report.stubs.length / report.functions, examined: report.functions } },
      findings: report.stubs.map((stub) => ({ ...stub, metric: 'stub_rate', severity: 'error' as const })),
      evidence: [{ ...evidence, summary, ...kept }],
    };
  },
});

/** documentation_coverage = public functions and classes of modules with a docstring / all of them. */
export const pythonDocsCoverage = pythonCollector({
  id: 'docs-coverage',
  metrics: ['documentation_coverage'],
  timeoutMs: 60_000,
  measure: async (context, scope) => {
    const { report, evidence } = await analyse(context, scope.sources);
    const fault = unparsable(report);
    if (fault !== undefined) return notEvaluable(['documentation_coverage'], fault, [evidence]);
    const all = report.exports;
    if (all.length === 0)
      return notEvaluable(['documentation_coverage'], `Nothing is public in ${scope.description}`, [evidence]);
    const bare = all.filter(({ documented }) => !documented);
    const documented = all.length - bare.length;
    const summary = `${documented} of ${all.length} public functions and classes have a docstring`;
    return {
      values: { documentation_coverage: { value: documented / all.length, examined: all.length } },
      findings: bare.map(({ file, line, column, name }) => ({
        metric: 'documentation_coverage',
        rule: 'docs/missing-docstring',
        message: `${name} is public and has no docstring`,
        severity: 'warning' as const,
        file,
        line,
        column,
      })),
      evidence: [{ ...evidence, summary }],
    };
  },
});

const SIZES = ['lines_of_code', 'service_dependencies', 'defect_density'] as const;

/**
 * lines_of_code: lines with something other than blanks, comments and docstrings.
 * service_dependencies: packages that the manifests declare for running, each once.
 * defect_density: lint and security findings of error level for each 100 lines of code.
 */
export const pythonSize = pythonCollector({
  id: 'size',
  metrics: SIZES,
  timeoutMs: 120_000,
  measure: async (context, scope) => {
    const { report, evidence } = await analyse(context, scope.sources);
    const fault = unparsable(report);
    if (fault !== undefined || report.codeLines === 0)
      return notEvaluable(SIZES, fault ?? 'There is no line of code', [evidence]);
    const { report: declared, fault: unread } = await readManifests(context, scope);
    const { report: scan } = await runPythonProbe(context, {
      name: 'security_scan',
      input: { files: scope.sources },
      report: ScanReport,
    });
    const defects = [...report.messages, ...scan.messages].filter(({ severity }) => severity === 'error').length;
    const scanned = scan.blindTo.length === 0 && scan.skipped.length === 0 && scan.filesScanned > 0;
    const summary = `${report.codeLines} lines of code in ${report.files} files, ${declared.run.length} dependencies, ${defects} findings of error level (${scope.description})`;
    return {
      values: {
        lines_of_code: { value: report.codeLines, examined: report.files },
        service_dependencies:
          unread === undefined
            ? { value: declared.run.length, examined: declared.manifests }
            : { notEvaluable: unread },
        defect_density: scanned
          ? { value: defects / (report.codeLines / 100), examined: report.codeLines }
          : { notEvaluable: 'The security scan could not read every file' },
      },
      findings: [],
      evidence: [{ ...evidence, summary }],
    };
  },
});
