import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { z } from 'zod';
import { FleetError } from '../../../shared/errors.ts';
import { packagePath } from '../../../shared/package-root.ts';
import type { SandboxCommand, SandboxMount, SandboxResult } from '../../../shared/sandbox/sandbox.ts';
import type { Evidence } from '../../../shared/verdict.ts';
import type { CollectContext } from '../../collector.ts';

/** Where a probe and the packages it needs are seen inside the sandbox. */
const INSIDE = '/opt/maestro';

/** The folder that holds the probes' packages: the package's own, or the one it was installed into. */
const packagesFolder = (): string => dirname(dirname(createRequire(import.meta.url).resolve('ajv/package.json')));

/** The built probes and their packages, read-only. */
export const probeMounts = (): SandboxMount[] => [
  { host: packagePath('dist'), inside: `${INSIDE}/dist`, writable: false },
  { host: packagePath('package.json'), inside: `${INSIDE}/package.json`, writable: false },
  { host: packagesFolder(), inside: `${INSIDE}/node_modules`, writable: false },
];

/** The command line of a built probe. */
export const probeArgv = (script: string): string[] => ['node', `${INSIDE}/dist/gates/probes/${script}.js`];

/** The probe's report, kept as evidence. */
export const REPORT = 'report.json';
export const keepReport = (context: CollectContext, report: unknown): Promise<void> =>
  writeFile(join(context.outDir, REPORT), `${JSON.stringify(report, null, 2)}\n`);

export interface ProbeRun<T> {
  report: T;
  evidence: Evidence;
}

/** Runs a probe that takes JSON on stdin and prints one JSON report on stdout. */
export async function runProbe<S extends z.ZodType>(
  context: CollectContext,
  options: {
    script: string;
    input: unknown;
    report: S;
    mounts?: readonly SandboxMount[];
    env?: Record<string, string>;
    limits?: SandboxCommand['limits'];
    signal?: AbortSignal;
    onOutput?: SandboxCommand['onOutput'];
  },
): Promise<ProbeRun<z.infer<S>>> {
  const argv = probeArgv(options.script);
  const result = await context.sandbox.run({
    argv,
    mounts: [...probeMounts(), ...(options.mounts ?? [])],
    cwd: '/tmp',
    stdin: JSON.stringify(options.input),
    signal: options.signal ?? context.signal,
    limits: { wallMs: 60_000, outputBytes: 4 * 1024 ** 2, ...options.limits },
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.onOutput === undefined ? {} : { onOutput: options.onOutput }),
  });
  const evidence: Evidence = {
    kind: 'command',
    summary: `${options.script} ${result.endedBy === 'exit' ? `ended with ${result.exitCode}` : `was ended by ${result.endedBy}`}`,
    command: argv.join(' '),
    exitCode: result.exitCode,
    durationMs: result.durationMs,
    sandbox: context.sandbox.kind,
    tree: context.tree,
  };
  return { report: options.report.parse(reportOf(options.script, result)), evidence };
}

function reportOf(script: string, result: SandboxResult): unknown {
  if (result.endedBy !== 'exit' || result.exitCode !== 0 || result.truncated) {
    const why = result.endedBy === 'exit' ? `exit code ${result.exitCode}` : result.endedBy;
    throw new FleetError('TOOL_UNAVAILABLE', `${script} gave no report (${why}): ${result.stderr.trim().slice(-500)}`);
  }
  return JSON.parse(result.stdout);
}
