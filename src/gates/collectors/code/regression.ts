import { z } from 'zod';
import { parseYaml } from '../../../shared/yaml-file.ts';
import { errorMessage } from '../../../shared/errors.ts';
import type { CollectContext } from '../../collector.ts';
import { codeCollector } from './measurement.ts';
import { readProjectText } from './project-files.ts';
import { failureFindings, junit, runTests } from './run-tests.ts';
import { keepReport, notEvaluable } from './run-tool.ts';
import type { CodeScope } from './scope.ts';
import { hasTypeScript } from './tests.ts';

export const BUGS = 'docs/testing/bugs.yaml';
export const PRD = 'docs/requirements/prd.md';
const METRIC = 'regression_test_coverage';
const Bugs = z.object({
  bugs: z.array(z.object({ id: z.string().min(1), status: z.enum(['open', 'fixed']) })),
});

/** Ids that a regression test must guard: functional requirements of the PRD and bugs that are said to be fixed. */
export async function guardedIds(
  context: CollectContext,
  scope: Pick<CodeScope, 'files'>,
): Promise<string[] | { fault: string }> {
  const ids = new Set<string>();
  if (scope.files.includes(PRD)) {
    const text = await readProjectText(context.root, PRD);
    for (const [, id] of text.matchAll(/^\s*[-*]\s+(?:\*\*|__)?(FR-\d+)\b/gm)) if (id !== undefined) ids.add(id);
  }
  if (scope.files.includes(BUGS)) {
    try {
      const { value } = parseYaml(Bugs, { file: BUGS, text: await readProjectText(context.root, BUGS) });
      for (const bug of value.bugs) if (bug.status === 'fixed') ids.add(bug.id);
    } catch (err) {
      return { fault: errorMessage(err) };
    }
  }
  return [...ids].toSorted();
}

/**
 * regression_test_coverage = ids named by at least one passing test in tests/regression or tests/acceptance / all ids,
 * where the ids are the FR ids listed in the PRD and the bugs that bugs.yaml says are fixed. A test names an id in its
 * title; `FR-1` does not name `FR-12`.
 */
export const regression = codeCollector({
  id: 'regression',
  metrics: [METRIC],
  timeoutMs: 180_000,
  measure: async (context, scope) => {
    const ids = await guardedIds(context, scope);
    if ('fault' in ids) return notEvaluable([METRIC], ids.fault);
    if (ids.length === 0)
      return notEvaluable([METRIC], `There is no FR id in ${PRD} and no fixed bug in ${BUGS} to guard`);
    const files = scope.files.filter((path) =>
      /^tests\/(?:regression|acceptance)\/.*\.test\.(?:[cm]?js|ts)$/.test(path),
    );
    if (files.length === 0)
      return notEvaluable([METRIC], 'There is no test file in tests/regression or tests/acceptance');
    const run = await runTests(context, files, { what: 'regression tests', hasTypeScript: hasTypeScript(scope) });
    if ('notEvaluable' in run)
      return { ...notEvaluable([METRIC], run.notEvaluable, run.evidence), findings: run.findings };
    const isGuarded = (id: string): boolean => {
      const named = new RegExp(`(?<![\\w-])${id.replaceAll(/[^\w-]/g, String.raw`\$&`)}(?![\\w-]|\\.\\d)`);
      return run.cases.some(({ name, outcome }) => outcome === 'passed' && named.test(name));
    };
    const bare = ids.filter((id) => !isGuarded(id));
    const kept = await keepReport(context, 'junit.xml', junit(run, 'regression'));
    const summary = `${ids.length - bare.length} of ${ids.length} ids are named by a passing test; ${run.evidence.summary}`;
    return {
      values: { [METRIC]: { value: (ids.length - bare.length) / ids.length, examined: ids.length } },
      findings: [
        ...failureFindings(METRIC, run),
        ...bare.map((id) => ({
          metric: METRIC,
          rule: 'regression/unguarded',
          message: `No passing test in tests/regression or tests/acceptance names ${id}`,
          severity: 'error' as const,
          file: id.startsWith('FR-') ? PRD : BUGS,
        })),
      ],
      evidence: [{ ...run.evidence, summary, ...kept }],
    };
  },
});
