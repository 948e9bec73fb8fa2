import { createHash } from 'node:crypto';
import { access, mkdir, mkdtemp, realpath, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { z } from 'zod';
import { FleetError } from '../../../shared/errors.ts';
import { packagePath } from '../../../shared/package-root.ts';
import type { SandboxLimits, SandboxMount, SandboxResult } from '../../../shared/sandbox/sandbox.ts';
import type { Evidence } from '../../../shared/verdict.ts';
import type { CollectContext } from '../../collector.ts';
import { removeTree } from '../../../shared/remove-tree.ts';

/** Where things are inside the sandbox. Passed as arguments of their own, never inside other text. */
export const INSIDE = { project: '/project', fleet: '/fleet', out: '/out', raw: '/raw' } as const;
const probePath = (name: string): string => `${INSIDE.fleet}/dist/gates/probes/${name}.js`;

const readOnly = async (host: string, name: string): Promise<SandboxMount> => ({
  host: await realpath(host),
  inside: `${INSIDE.fleet}/${name}`,
  writable: false,
});

/** The fleet's own tools, read-only: its packages, its built probes and its settings, none of them the author's. */
async function fleetMounts(): Promise<SandboxMount[]> {
  const probes = packagePath('dist', 'gates', 'probes');
  await access(probes).catch((cause: unknown) => {
    throw new FleetError('TOOL_UNAVAILABLE', 'the measuring probes are not built', {
      remedy: 'Run `npm run build`.',
      cause,
    });
  });
  const modules = dirname(dirname(createRequire(packagePath('package.json')).resolve('typescript/package.json')));
  return Promise.all([
    readOnly(modules, 'node_modules'),
    readOnly(packagePath('dist'), 'dist'),
    readOnly(packagePath('config'), 'config'),
    readOnly(packagePath('package.json'), 'package.json'),
  ]);
}

export interface ToolRun {
  argv: readonly string[];
  /** Host folder mounted as the project, read-only unless said otherwise. */
  project: string;
  projectWritable?: boolean;
  mounts?: readonly SandboxMount[];
  env?: Readonly<Record<string, string>>;
  stdin?: string;
  limits?: Partial<SandboxLimits>;
}

/** Runs one command in the sandbox with the project and the fleet's tools in their fixed places. */
export async function runTool(
  context: Pick<CollectContext, 'sandbox' | 'signal'>,
  run: ToolRun,
): Promise<SandboxResult> {
  context.signal.throwIfAborted();
  return context.sandbox.run({
    argv: run.argv,
    cwd: INSIDE.project,
    mounts: [
      { host: await realpath(run.project), inside: INSIDE.project, writable: run.projectWritable ?? false },
      ...(await fleetMounts()),
      ...(run.mounts ?? []),
    ],
    env: { NO_COLOR: '1', NODE_NO_WARNINGS: '1', ...run.env },
    limits: { wallMs: 90_000, outputBytes: 32 * 1024 ** 2, ...run.limits },
    signal: context.signal,
    ...(run.stdin === undefined ? {} : { stdin: run.stdin }),
  });
}

const FLEET_FOLDERS = [`${INSIDE.fleet}/config`, `${INSIDE.fleet}/node_modules`];

const workFolder = (context: CollectContext): string => join(context.outDir, '.work');

/** A fresh folder for the host or for one sandboxed command; no report, and gone when the collector has ended. */
export async function freshFolder(context: CollectContext, name: string): Promise<string> {
  await mkdir(workFolder(context), { recursive: true });
  return mkdtemp(join(workFolder(context), `${name}-`));
}

/** Leaves nothing in the collector's folder but the reports that the host wrote. */
export const removeWork = (context: CollectContext): Promise<void> => removeTree(workFolder(context));

/** How a command that did not end by itself with `expected` ended, in words; nothing when it ended as it should. */
export function faultOf(result: SandboxResult, what: string, expected: readonly number[]): string | undefined {
  if (result.endedBy === 'timeout') return `${what} did not end within its time limit`;
  if (result.endedBy !== 'exit')
    return `${what} was ended by a ${result.endedBy === 'signal' ? 'signal' : 'stop request'}`;
  if (result.truncated) return `${what} printed more than can be read`;
  if (result.exitCode === null || !expected.includes(result.exitCode))
    return `${what} failed with exit code ${result.exitCode}: ${lastLines(result.stderr)}`;
  return undefined;
}

const lastLines = (text: string): string => {
  const lines = text
    .trim()
    .split('\n')
    .filter((line) => line.trim() !== '');
  return (lines.find((line) => /error/i.test(line)) ?? lines.at(-1) ?? 'it printed nothing').slice(0, 400);
};

/**
 * Runs one of the fleet's probes. It answers on stdout, which is captured outside the sandbox, so nothing that
 * lies about in a writable folder can stand in for its answer. No probe run by this function executes project code.
 */
export async function runProbe<S extends z.ZodType>(
  context: CollectContext,
  probe: {
    name: string;
    project: string;
    input: unknown;
    report: S;
    mounts?: readonly SandboxMount[];
    args?: readonly string[];
  },
): Promise<{ report: z.infer<S>; evidence: Evidence }> {
  const argv = ['node', probePath(probe.name), INSIDE.project, ...FLEET_FOLDERS, ...(probe.args ?? [])];
  const result = await runTool(context, {
    argv,
    project: probe.project,
    stdin: JSON.stringify(probe.input),
    ...(probe.mounts ? { mounts: probe.mounts } : {}),
  });
  const fault = faultOf(result, `The probe ${probe.name}`, [0]);
  if (fault !== undefined) throw new FleetError('INTERNAL', fault, { retry: result.endedBy !== 'exit' });
  const parsed = probe.report.safeParse(parseJson(result.stdout));
  if (!parsed.success)
    throw new FleetError(
      'INTERNAL',
      `The probe ${probe.name} gave no readable report: ${parsed.error.message.slice(0, 300)}`,
    );
  return { report: parsed.data, evidence: commandEvidence(context, argv, result) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The schema rejects it and the caller says which probe gave it.
    return undefined;
  }
}

export const commandEvidence = (context: CollectContext, argv: readonly string[], result: SandboxResult): Evidence => ({
  kind: 'command',
  summary: `ran ${argv[1]?.split('/').at(-1) ?? argv[0] ?? ''}`,
  command: argv.join(' '),
  exitCode: result.exitCode,
  durationMs: Math.round(result.durationMs),
  tree: context.tree,
  sandbox: context.sandbox.kind,
});

/** Keeps a report beside the evidence. Written by the host into its own folder, which no sandbox ever mounted. */
export async function keepReport(
  context: CollectContext,
  name: string,
  content: string,
): Promise<{ report: string; reportSha256: string }> {
  await writeFile(join(context.outDir, name), content, { flag: 'w' });
  return { report: name, reportSha256: createHash('sha256').update(content).digest('hex') };
}

/** The reading of every wanted metric when nothing could be established. */
export const notEvaluable = (
  metrics: readonly string[],
  reason: string,
  evidence: Evidence[] = [],
): { values: Record<string, { notEvaluable: string }>; findings: []; evidence: Evidence[] } => ({
  values: Object.fromEntries(metrics.map((metric) => [metric, { notEvaluable: reason }])),
  findings: [],
  evidence,
});

/** Tool versions as installed with the fleet. */
export function toolVersion(name: string): string {
  const manifest: unknown = createRequire(packagePath('package.json'))(`${name}/package.json`);
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown';
}
