import { cp, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Integrity, type MakeCheck, checkIntegrity } from '../../../src/gates/integrity/check-integrity.ts';
import type { IntegrityInput } from '../../../src/gates/integrity/integrity-context.ts';
import { readConfig } from '../../../src/shared/config.ts';
import { silentLogger } from '../../../src/shared/logger.ts';
import { packagePath } from '../../../src/shared/package-root.ts';
import type { IntegrityCheck } from '../../../src/shared/round-evidence.ts';
import { openSandbox } from '../../../src/shared/sandbox/open-sandbox.ts';
import type { Sandbox } from '../../../src/shared/sandbox/sandbox.ts';
import type { ChangedFile } from '../../../src/shared/workspace.ts';
import { tempFolder } from '../../support/temp-folder.ts';

export type Files = Readonly<Record<string, string | null>>;

let opened: Promise<Sandbox> | undefined;
export const realSandbox = (): Promise<Sandbox> =>
  (opened ??= openSandbox({
    mode: 'auto',
    cache: readConfig(process.env, packagePath()).cache,
    logger: silentLogger(),
  }));

export async function put(root: string, files: Files): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await rm(join(root, path), { recursive: true, force: true });
    if (text === null) continue;
    await mkdir(dirname(join(root, path)), { recursive: true });
    if (text.startsWith('-> ')) await symlink(text.slice(3), join(root, path));
    else await writeFile(join(root, path), text);
  }
}

async function textsOf(root: string): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) texts.set(path.slice(root.length + 1), await readFile(path, 'utf8'));
  }
  return texts;
}

interface Phase {
  /** What the phase began with. */
  base: Files;
  /** What it wrote (a text) or removed (null). */
  work: Files;
  persona?: string;
  /** Who wrote the files of the base; `solution_architect` where it is not said. */
  owners?: Readonly<Record<string, string>>;
  phase?: string;
  sandbox?: Sandbox;
  signal?: AbortSignal;
  /** Where the checks are made. */
  make?: MakeCheck;
}

export interface Checks extends Integrity {
  of: (check: IntegrityCheck['check']) => IntegrityCheck;
  outDir: string;
}

/** Checks the work of one phase in the real sandbox. */
export async function check({
  base,
  work,
  persona = 'backend_developer',
  owners = {},
  phase = 'backend',
  sandbox,
  signal = new AbortController().signal,
  make,
}: Phase): Promise<Checks> {
  const folder = await tempFolder();
  const [baseRoot, root, outDir] = [join(folder, 'base'), join(folder, 'work'), join(folder, 'out')];
  await mkdir(outDir);
  await put(baseRoot, { 'package.json': '{"type":"module"}', ...base });
  await cp(baseRoot, root, { recursive: true });
  await put(root, work);
  const [before, after] = [await textsOf(baseRoot), await textsOf(root)];
  const changed = [...new Set([...before.keys(), ...after.keys()])].toSorted().flatMap((file): ChangedFile[] => {
    const [was, is] = [before.get(file), after.get(file)];
    if (was === is) return [];
    return [{ file, status: was === undefined ? 'added' : is === undefined ? 'deleted' : 'modified' }];
  });
  const input: IntegrityInput = {
    context: {
      root,
      outDir,
      sandbox: sandbox ?? (await realSandbox()),
      phase,
      metrics: {},
      artifacts: {},
      run: { approvals: [], judgements: [], phaseStartedAt: undefined, round: 0, inputs: {} },
      tree: 'sha256:tree',
      signal,
      logger: silentLogger(),
    },
    baseRoot,
    changed,
    owners: new Map([...before.keys()].map((file) => [file, owners[file] ?? 'solution_architect'])),
    personas: [persona],
    strayLinks: [],
    isTested: true,
  };
  const result = await checkIntegrity(input, make);
  return {
    ...result,
    outDir,
    of: (name) => {
      const found = result.checks.find((each) => each.check === name);
      if (!found) throw new Error(`no check ${name}`);
      return found;
    },
  };
}
