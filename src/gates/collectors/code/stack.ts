import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Evidence } from '../../../shared/verdict.ts';
import type { CollectContext, Collected, CollectedValue, Collector } from '../../collector.ts';
import { PYTHON_MANIFESTS } from './project-files.ts';

/** Counted things are added up; of everything else the worst value of any stack is the value of the project. */
const ADDED_UP = new Set([
  'test_count',
  'total_test_cases',
  'security_vulnerabilities',
  'lines_of_code',
  'service_dependencies',
]);

/** What a project is made of, by the manifests at its top. */
export async function stacksOf(root: string): Promise<{ javascript: boolean; python: boolean }> {
  const names = await readdir(root);
  return {
    javascript: names.includes('package.json'),
    python: PYTHON_MANIFESTS.some((name) => names.includes(name)),
  };
}

/** Under a name of its own, so that what is proven of it is not taken for proof of the other. */
const partOf = (python: Collector): Collector => ({ ...python, id: `${python.id}.python` });

/**
 * One collector for both stacks. A project of both is measured by each, and the readings are joined; when one of them
 * could not be measured, neither could the project.
 */
export const byStack = (javascript: Collector, python: Collector): Collector => ({
  id: javascript.id,
  version: `${javascript.version}+python.${python.version}`,
  metrics: javascript.metrics,
  timeoutMs: Math.max(javascript.timeoutMs, python.timeoutMs),
  parts: {
    all: [javascript, partOf(python)],
    of: async (root) => {
      const stacks = await stacksOf(root);
      if (!stacks.python) return [javascript];
      return stacks.javascript ? [javascript, partOf(python)] : [partOf(python)];
    },
  },
  collect: async (context) => {
    const stacks = await stacksOf(context.root);
    if (!stacks.python) return javascript.collect(context);
    if (!stacks.javascript) return python.collect(context);
    const first = await collectIn(context, javascript, 'javascript');
    return joinReadings(context, first, await collectIn(context, python, 'python'));
  },
});

async function collectIn(context: CollectContext, collector: Collector, stack: string): Promise<Collected> {
  const outDir = join(context.outDir, stack);
  await mkdir(outDir, { recursive: true });
  const collected = await collector.collect({ ...context, outDir });
  const placed = (evidence: readonly Evidence[]): Evidence[] =>
    evidence.map((each) => (each.report === undefined ? each : { ...each, report: `${stack}/${each.report}` }));
  const values = Object.entries(collected.values).map(([metric, value]): [string, CollectedValue] => [
    metric,
    value.evidence === undefined ? value : { ...value, evidence: placed(value.evidence) },
  ]);
  return { ...collected, values: Object.fromEntries(values), evidence: placed(collected.evidence) };
}

function joinReadings(context: CollectContext, javascript: Collected, python: Collected): Collected {
  const values: Record<string, CollectedValue> = {};
  for (const [metric, { direction }] of Object.entries(context.metrics)) {
    const readings = [javascript.values[metric], python.values[metric]];
    values[metric] = joined(metric, direction, readings);
  }
  return {
    values,
    findings: [...javascript.findings, ...python.findings],
    evidence: [...javascript.evidence, ...python.evidence],
  };
}

function joined(
  metric: string,
  direction: 'min' | 'max',
  [javascript, python]: readonly (CollectedValue | undefined)[],
): CollectedValue {
  if (javascript === undefined || 'notEvaluable' in javascript)
    return { notEvaluable: `JavaScript: ${javascript?.notEvaluable ?? 'not measured'}` };
  if (python === undefined || 'notEvaluable' in python)
    return { notEvaluable: `Python: ${python?.notEvaluable ?? 'not measured'}` };
  const parts = `JavaScript ${javascript.value}, Python ${python.value}`;
  const evidence = [...(javascript.evidence ?? []), ...(python.evidence ?? [])];
  const say = (how: string): Evidence[] => [{ kind: 'record', summary: `${metric}: ${parts}; ${how}` }, ...evidence];
  if (ADDED_UP.has(metric))
    return {
      value: javascript.value + python.value,
      examined: javascript.examined + python.examined,
      evidence: say('both together count'),
    };
  const isPythonWorse = direction === 'min' ? python.value < javascript.value : python.value > javascript.value;
  const worst = isPythonWorse ? python : javascript;
  return { value: worst.value, examined: worst.examined, evidence: say('the worse of the two counts') };
}
