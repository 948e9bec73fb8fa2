import { codeCollector, defusedCopy } from './measurement.ts';
import { BundleReport } from './probe-reports.ts';
import { keepReport, notEvaluable, runProbe } from './run-tool.ts';

const METRIC = 'bundle_size_kb';
const PAGE = 'src/frontend/';

/** bundle_size_kb: minified scripts (bundled by esbuild) + minified CSS + HTML, in KiB, not compressed. */
export const bundle = codeCollector({
  id: 'bundle',
  metrics: [METRIC],
  timeoutMs: 60_000,
  measure: async (context, scope) => {
    const files = scope.sources.filter((path) => path.startsWith(PAGE));
    const markup = scope.markup.filter((path) => path.startsWith(PAGE));
    if (files.length === 0) return notEvaluable([METRIC], `There is no script in ${PAGE} to bundle`);
    const copy = await defusedCopy(context, scope);
    const { report, evidence } = await runProbe(context, {
      name: 'code-bundle',
      project: copy.folder,
      input: { files, markup },
      report: BundleReport,
    });
    const findings = report.problems.map((problem) => ({
      ...problem,
      metric: METRIC,
      rule: 'bundle/unresolved',
      severity: 'error' as const,
    }));
    const [first] = report.problems;
    const bytes = report.inputs.reduce((sum, input) => sum + input.bytes, 0);
    const summary = `${bytes} bytes minified, not compressed: ${report.inputs.map((input) => `${input.file} ${input.bytes}`).join(', ')}`;
    const kept = await keepReport(context, 'bundle.json', JSON.stringify(report, null, 2));
    const seen = [{ ...evidence, tool: 'esbuild', toolVersion: report.version, summary, ...kept }];
    if (first) return { ...notEvaluable([METRIC], `The page cannot be bundled: ${first.message}`, seen), findings };
    if (bytes === 0) return notEvaluable([METRIC], 'The bundle is empty', seen);
    return { values: { [METRIC]: { value: bytes / 1024, examined: report.inputs.length } }, findings, evidence: seen };
  },
});
