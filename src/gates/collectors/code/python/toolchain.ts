import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { FleetError, errorMessage } from '../../../../shared/errors.ts';
import { unpackDebianPackages } from '../../../../shared/debian-packages.ts';
import type { SandboxMount } from '../../../../shared/sandbox/sandbox.ts';
import type { CollectContext } from '../../../collector.ts';
import { runTool } from '../run-tool.ts';

/** A Python with every tool that the Python collectors need. None of it is the author's. */
export interface PythonTools {
  /** As seen inside the sandbox. */
  python: string;
  /** The folder that the tools are imported from; none when the interpreter finds them by itself. */
  packages: string | undefined;
  mounts: readonly SandboxMount[];
  env: Readonly<Record<string, string>>;
}

const MODULES = ['pytest', 'coverage', 'bandit', 'mypy.api', 'radon', 'pyflakes'];
const PACKAGES = [
  'python3',
  'python3-pytest',
  'python3-coverage',
  'python3-bandit',
  'mypy',
  'radon',
  'python3-pyflakes',
];
/** Shims of version managers are of no use in the sandbox, which sees /usr and nothing else of the machine. */
const SYSTEM = '/usr/bin/python3';
const TREE = '/python';

type Asking = Pick<CollectContext, 'sandbox' | 'outDir' | 'logger' | 'signal'>;

let found: { cache: string; fetch: boolean; tools: Promise<PythonTools> } | undefined;

/** The machine's own Python when it has every tool; otherwise Debian's packages, unpacked once into the cache. */
export async function pythonTools(
  context: Asking,
  {
    cache = join(homedir(), '.cache', 'maestro-fleet'),
    fetch = true,
  }: {
    cache?: string;
    /** May packages be fetched, or only what is here already be used? */
    fetch?: boolean;
  } = {},
): Promise<PythonTools> {
  if (found === undefined || found.cache !== cache || (fetch && !found.fetch))
    found = { cache, fetch, tools: find(context, { cache, fetch }) };
  const asked = found.tools;
  try {
    return await asked;
  } catch (err) {
    if (found?.tools === asked) found = undefined;
    throw err;
  }
}

async function find(context: Asking, from: { cache: string; fetch: boolean }): Promise<PythonTools> {
  const system: PythonTools = { python: SYSTEM, packages: undefined, mounts: [], env: {} };
  const fault = existsSync(SYSTEM) ? await faultOf(context, system) : `there is no ${SYSTEM}`;
  if (fault === undefined) return system;
  try {
    const unpacked = await fromDebian(context, from);
    const unpackedFault = await faultOf(context, unpacked);
    if (unpackedFault === undefined) return unpacked;
    throw new FleetError('TOOL_UNAVAILABLE', unpackedFault);
  } catch (err) {
    context.signal.throwIfAborted();
    throw new FleetError('TOOL_UNAVAILABLE', `Python cannot be measured here: ${errorMessage(err)} (${fault})`, {
      cause: err,
      remedy: `Install ${PACKAGES.join(', ')}, or their like for this system, so that ${SYSTEM} can import ${MODULES.join(', ')}.`,
    });
  }
}

async function fromDebian(context: Asking, from: { cache: string; fetch: boolean }): Promise<PythonTools> {
  const tree = await unpackDebianPackages({ packages: PACKAGES, logger: context.logger, ...from });
  const mounts = [{ host: tree, inside: TREE, writable: false }];
  const packages = `${TREE}/usr/lib/python3/dist-packages`;
  if (existsSync(SYSTEM)) return { python: SYSTEM, packages, mounts, env: {} };
  const libraries = ['x86_64', 'aarch64'].map((machine) => `${TREE}/usr/lib/${machine}-linux-gnu`);
  return { python: `${TREE}/usr/bin/python3`, packages, mounts, env: { LD_LIBRARY_PATH: libraries.join(':') } };
}

/** Whether every tool can be imported; asked of the interpreter itself, in the sandbox. */
async function faultOf(context: Asking, tools: PythonTools): Promise<string | undefined> {
  const script = 'import sys; sys.path[:0] = sys.argv[2:]\nfor name in sys.argv[1].split(): __import__(name)';
  const result = await runTool(context, {
    argv: [
      tools.python,
      '-I',
      '-c',
      script,
      MODULES.join(' '),
      ...(tools.packages === undefined ? [] : [tools.packages]),
    ],
    project: context.outDir,
    mounts: tools.mounts,
    env: tools.env,
  });
  if (result.endedBy === 'exit' && result.exitCode === 0) return undefined;
  return `${tools.python} lacks a tool: ${result.stderr.trim().split('\n').at(-1) ?? `it was ended by a ${result.endedBy}`}`;
}
