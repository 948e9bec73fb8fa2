import type { Finding } from '../../../../shared/verdict.ts';
import { keepReport, notEvaluable } from '../run-tool.ts';
import { analyse, directiveFindings, pythonCollector, readManifests, runPythonProbe } from './probe.ts';
import { TypeCheckReport } from './reports.ts';

const METRIC = 'build_success_rate';
/** The package is there, and says nothing of its types: no mistake of this project's. */
const NO_TYPES = /library stubs not installed|missing library stubs or py\.typed/i;
const NOT_FOUND = /^Cannot find implementation or library stub for module named "([^".]+)/;

/**
 * build_success_rate = build steps that succeeded / build steps. A Python project has two: every file compiles, and
 * mypy finds no mistake in the sources under the fleet's own settings.
 */
export const pythonBuild = pythonCollector({
  id: 'build',
  metrics: [METRIC],
  timeoutMs: 240_000,
  measure: async (context, scope) => {
    const compiled = [...scope.sources, ...scope.allTests];
    const { report, evidence: command } = await runPythonProbe(context, {
      name: 'type_check',
      input: { sources: scope.sources, compile: compiled, roots: scope.roots.slice(0, 1) },
      report: TypeCheckReport,
    });
    const problems = (report.types?.problems ?? []).filter(({ message }) => !NO_TYPES.test(message));
    const kept = await keepReport(context, 'types.json', JSON.stringify({ syntax: report.syntax, problems }, null, 2));
    const summary = `${report.syntax.length} of ${report.compiled} files do not compile; ${problems.length} type errors in ${report.checked} files (${scope.description})`;
    const evidence = [
      { ...command, tool: 'compile + mypy', toolVersion: `Python ${report.python} + ${report.mypy}`, summary, ...kept },
    ];
    const refuse = (reason: string, findings: Finding[] = []) => ({
      ...notEvaluable([METRIC], reason, evidence),
      findings,
    });
    const findings: Finding[] = [
      ...report.syntax.map((fault) => ({ ...fault, metric: METRIC, rule: 'build/syntax', severity: 'error' as const })),
      ...problems.map(({ code, ...place }) => ({
        ...place,
        metric: METRIC,
        rule: `mypy/${code}`,
        severity: 'error' as const,
      })),
    ];
    if (report.types !== null) {
      const { report: declared, fault } = await readManifests(context, scope);
      const unresolved = problems.flatMap(({ message }) => NOT_FOUND.exec(message)?.[1] ?? []);
      if (unresolved.length > 0 && fault !== undefined) return refuse(fault, findings);
      if (unresolved.length > 0 && declared.missing.length > 0)
        return refuse(
          `type check: ${unresolved[0]} cannot be imported, and these declared packages are not installed: ${declared.missing.join(', ')} (put them in .venv)`,
          findings,
        );
      // 1 is for mistakes found; everything else, and a 1 without a mistake, is mypy's own failure.
      const { exitCode, other, problems: all } = report.types;
      if (exitCode > 1 || (exitCode === 1) !== all.length > 0)
        return refuse(`type check: mypy ended with code ${exitCode}: ${other}`, findings);
    }
    const { report: syntax } = await analyse(context, scope.sources);
    const steps = [report.syntax.length === 0, report.types !== null && problems.length === 0];
    return {
      values: { [METRIC]: { value: steps.filter(Boolean).length / steps.length, examined: steps.length } },
      findings: [...findings, ...directiveFindings(syntax, METRIC, ['tamper/type-ignore', 'tamper/mypy-config'])],
      evidence,
    };
  },
});
