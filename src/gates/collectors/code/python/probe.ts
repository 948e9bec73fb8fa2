import type { z } from 'zod';
import { FleetError } from '../../../../shared/errors.ts';
import type { SandboxResult } from '../../../../shared/sandbox/sandbox.ts';
import type { Evidence, Finding } from '../../../../shared/verdict.ts';
import type { CollectContext } from '../../../collector.ts';
import { INSIDE, commandEvidence, faultOf, runTool } from '../run-tool.ts';
import { scopeCollectors } from '../scope-collector.ts';
import { AnalysisReport, ManifestReport } from './reports.ts';
import { LOCK, type PythonScope, readPythonScope } from './scope.ts';
import { pythonTools } from './toolchain.ts';

/** Raised with every change of what the Python collectors measure, or how. */
const VERSION = '3';

/** A collector over the Python of one scope. */
export const pythonCollector = scopeCollectors(VERSION, readPythonScope);

/** Runs one of the fleet's Python scripts in the sandbox; the project is mounted read-only. */
export async function runPython(
  context: CollectContext,
  script: { name: string; input: unknown; wallMs?: number },
): Promise<{ result: SandboxResult; evidence: Evidence }> {
  const tools = await pythonTools(context);
  const argv = [
    tools.python,
    // Isolated: neither the environment nor the folder it runs in can add a module.
    '-I',
    `${INSIDE.fleet}/config/probes/python/${script.name}.py`,
    INSIDE.project,
    ...(tools.packages === undefined ? [] : [tools.packages]),
  ];
  const result = await runTool(context, {
    argv,
    project: context.root,
    mounts: tools.mounts,
    env: tools.env,
    stdin: JSON.stringify(script.input),
    ...(script.wallMs === undefined ? {} : { limits: { wallMs: script.wallMs } }),
  });
  return { result, evidence: { ...commandEvidence(context, argv, result), summary: `ran ${script.name}.py` } };
}

/** Runs a script that executes no project code, and checks its answer. */
export async function runPythonProbe<S extends z.ZodType>(
  context: CollectContext,
  probe: { name: string; input: unknown; report: S },
): Promise<{ report: z.infer<S>; evidence: Evidence }> {
  const { result, evidence } = await runPython(context, probe);
  const fault = faultOf(result, `The probe ${probe.name}.py`, [0]);
  if (fault !== undefined) throw new FleetError('INTERNAL', fault, { retry: result.endedBy !== 'exit' });
  const parsed = probe.report.safeParse(parseJson(result.stdout));
  if (!parsed.success)
    throw new FleetError(
      'INTERNAL',
      `The probe ${probe.name}.py gave no readable report: ${parsed.error.message.slice(0, 300)}`,
    );
  return { report: parsed.data, evidence };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The schema rejects it and the caller says which probe gave it.
    return undefined;
  }
}

export async function analyse(
  context: CollectContext,
  files: readonly string[],
): Promise<{ report: AnalysisReport; evidence: Evidence }> {
  const { report, evidence } = await runPythonProbe(context, {
    name: 'analyse',
    input: { files },
    report: AnalysisReport,
  });
  return {
    report,
    evidence: {
      ...evidence,
      tool: 'ast + pyflakes + radon',
      toolVersion: `Python ${report.python} + ${report.pyflakes} + ${report.radon}`,
    },
  };
}

/** Declared and locked packages, or the file that cannot be read. */
export async function readManifests(
  context: CollectContext,
  { manifests, files }: Pick<PythonScope, 'manifests' | 'files'>,
): Promise<{ report: ManifestReport; fault: string | undefined }> {
  const { report } = await runPythonProbe(context, {
    name: 'manifest',
    input: { files: manifests, locks: files.filter((path) => LOCK.test(path)) },
    report: ManifestReport,
  });
  const [first] = report.faults;
  return { report, fault: first && `${first.file} cannot be read: ${first.message}` };
}

/** The first file that is no Python; what cannot be read cannot be measured. */
export const unparsable = (report: AnalysisReport): string | undefined => {
  const [fault] = report.unparsable;
  return fault && `${fault.file}:${fault.line} cannot be parsed: ${fault.message}`;
};

export const directiveFindings = (report: AnalysisReport, metric: string, rules: readonly string[]): Finding[] =>
  report.directives
    .filter(({ rule }) => rules.includes(rule))
    .map((place) => ({
      ...place,
      metric,
      message: 'A comment that switches a measuring tool off has no effect here; remove it and mend what it hides',
      severity: 'warning' as const,
    }));
