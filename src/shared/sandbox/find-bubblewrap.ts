import { randomUUID } from 'node:crypto';
import { access, constants, mkdir, rename, writeFile } from 'node:fs/promises';
import { arch } from 'node:os';
import { delimiter, join } from 'node:path';
import { libraryFolders, unpackDebianPackages } from '../debian-packages.ts';
import { FleetError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { runProcess } from '../process.ts';
import type { BubblewrapTools } from './sandbox-settings.ts';
import { syscallFilter } from './syscall-filter.ts';

const SYSTEM_PATH = ['/usr/bin', '/bin', '/usr/sbin', '/sbin', '/usr/local/bin'].join(delimiter);

/** What commands see of /etc: nothing of this machine's users and names. */
const ETC_FILES = {
  passwd: (uid: number) =>
    `root:x:0:0::/:/bin/sh\nsandbox:x:${uid}:${uid}::/home/sandbox:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n`,
  group: (uid: number) => `root:x:0:\nsandbox:x:${uid}:\nnogroup:x:65534:\n`,
  hosts: () => '127.0.0.1 localhost\n::1 localhost\n',
  'nsswitch.conf': () => 'passwd: files\ngroup: files\nhosts: files\n',
};

/** Finds bubblewrap on PATH, else unpacks it from the system's packages without root. */
export async function findBubblewrap(options: {
  cache: string;
  uid: number;
  logger: Logger;
}): Promise<BubblewrapTools> {
  const setpriv = await findProgram('setpriv');
  const prlimit = await findProgram('prlimit');
  if (prlimit === undefined || setpriv === undefined) {
    throw new FleetError('TOOL_UNAVAILABLE', 'prlimit and setpriv are not installed', {
      remedy: 'Install util-linux.',
    });
  }
  const etc = await writeEtc(options.cache, options.uid);
  const choom = await findProgram('choom');
  const filter = await writeFilter(etc);
  const found = { setpriv, prlimit, choom, etc, filter };
  const installed = await findProgram('bwrap');
  if (installed !== undefined) {
    return { bwrap: installed, version: await versionOf(installed, []), libraries: [], ...found };
  }
  const tree = await unpackDebianPackages({ packages: ['bubblewrap'], cache: options.cache, logger: options.logger });
  const bwrap = join(tree, 'usr', 'bin', 'bwrap');
  const libraries = await libraryFolders(tree);
  return { bwrap, version: await versionOf(bwrap, libraries), libraries, ...found };
}

/** A program's absolute path in the system's folders. */
export async function findProgram(name: string): Promise<string | undefined> {
  for (const folder of SYSTEM_PATH.split(delimiter)) {
    const path = join(folder, name);
    const isExecutable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isExecutable) return path;
  }
  return undefined;
}

async function versionOf(bwrap: string, libraries: readonly string[]): Promise<string> {
  const env = { PATH: SYSTEM_PATH, LD_LIBRARY_PATH: libraries.join(delimiter) };
  const result = await runProcess({
    argv: [bwrap, '--version'],
    cwd: '/',
    env,
    timeoutMs: 10_000,
    outputBytes: 10_000,
  });
  if (result.exitCode !== 0) {
    throw new FleetError('TOOL_UNAVAILABLE', `${bwrap} does not start: ${result.stderr.trim()}`, {
      remedy: 'Install bubblewrap with the package manager.',
    });
  }
  return result.stdout.trim().replace(/^bubblewrap /, '');
}

async function writeFilter(folder: string): Promise<string | undefined> {
  const filter = syscallFilter(arch());
  if (filter === undefined) return undefined;
  await replaceFile(folder, 'syscalls.bpf', filter);
  return join(folder, 'syscalls.bpf');
}

async function replaceFile(folder: string, name: string, content: string | Uint8Array): Promise<void> {
  const temporary = join(folder, `.${name}.${randomUUID()}`);
  await writeFile(temporary, content, { mode: 0o644 });
  await rename(temporary, join(folder, name));
}

async function writeEtc(cache: string, uid: number): Promise<string> {
  const folder = join(cache, 'sandbox', `etc-${uid}`);
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(ETC_FILES)) await replaceFile(folder, name, content(uid));
  return folder;
}
