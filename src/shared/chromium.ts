import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { FleetError } from './errors.ts';
import type { Logger } from './logger.ts';
import { runProcess } from './process.ts';

/** A Chromium that starts on this machine. */
export interface Chromium {
  executablePath: string;
  /** The folder to mount for a sandboxed command; undefined for a system browser below /usr. */
  folder: string | undefined;
  args: readonly string[];
  /** Added to LD_LIBRARY_PATH when the machine lacks libraries the browser needs. */
  libraryPath: string | undefined;
  /** FONTCONFIG_PATH for a machine without fonts. */
  fontsPath: string | undefined;
  version: string;
}

export interface FindChromiumOptions {
  /** A browser the user chose. */
  executablePath?: string | undefined;
  /** Downloads that any project of this user may share. */
  cache: string;
  logger: Logger;
}

/** A sandbox sees /usr and nothing else of the machine, so browsers are looked for there. */
const SYSTEM = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
];
/** The browser's own sandbox needs user namespaces, which ours denies to what runs inside it. */
const ARGS = [
  '--no-sandbox',
  '--disable-setuid-sandbox',
  '--disable-dev-shm-usage',
  '--disable-gpu',
  '--no-zygote',
  '--disable-background-networking',
  '--font-render-hinting=none',
] as const;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Finds a browser: the chosen one, the machine's, or the one that came with the package, unpacked once. */
export async function findChromium(options: FindChromiumOptions): Promise<Chromium> {
  const system = options.executablePath ?? SYSTEM.find((path) => existsSync(path));
  if (system !== undefined) {
    if (!existsSync(system)) {
      throw new FleetError('TOOL_UNAVAILABLE', `there is no browser at ${system}`, {
        remedy: 'Correct the path of Chromium.',
      });
    }
    const isSystem = system.startsWith('/usr/');
    return describe({ executablePath: system, folder: isSystem ? undefined : dirname(system) });
  }
  const folder = await unpackBundled(options);
  const executablePath = join(folder, 'chromium');
  const libraries = join(folder, 'al2023', 'lib');
  const missing = await missingLibraries(executablePath, undefined);
  const libraryPath = missing.length === 0 ? undefined : libraries;
  const stillMissing = libraryPath === undefined ? [] : await missingLibraries(executablePath, libraryPath);
  if (stillMissing.length > 0) {
    throw new FleetError(
      'TOOL_UNAVAILABLE',
      `Chromium needs libraries this machine lacks: ${stillMissing.join(', ')}`,
      {
        remedy: 'Install a browser, for instance with apt-get install chromium.',
      },
    );
  }
  return describe({
    executablePath,
    folder,
    libraryPath,
    fontsPath: existsSync('/etc/fonts/fonts.conf') ? undefined : join(folder, 'fonts'),
  });
}

async function describe(found: {
  executablePath: string;
  folder: string | undefined;
  libraryPath?: string | undefined;
  fontsPath?: string | undefined;
}): Promise<Chromium> {
  const result = await runProcess({
    argv: [found.executablePath, '--version', '--no-sandbox'],
    cwd: '/',
    env: { PATH, HOME: '/tmp', ...(found.libraryPath === undefined ? {} : { LD_LIBRARY_PATH: found.libraryPath }) },
    timeoutMs: 20_000,
    outputBytes: 10_000,
  });
  const version = /\d+(?:\.\d+)+/.exec(result.stdout)?.[0];
  if (result.exitCode !== 0 || version === undefined) {
    throw new FleetError(
      'TOOL_UNAVAILABLE',
      `${found.executablePath} does not start: ${result.stderr.trim().slice(-300)}`,
      {
        remedy: 'Install a browser, for instance with apt-get install chromium.',
      },
    );
  }
  return { ...found, libraryPath: found.libraryPath, fontsPath: found.fontsPath, args: ARGS, version };
}

async function missingLibraries(executable: string, libraryPath: string | undefined): Promise<string[]> {
  const { stdout } = await runProcess({
    argv: ['ldd', executable],
    cwd: '/',
    env: { PATH, ...(libraryPath === undefined ? {} : { LD_LIBRARY_PATH: libraryPath }) },
    timeoutMs: 20_000,
    outputBytes: 200_000,
  });
  return [...stdout.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1] ?? '');
}

/** The package unpacks into the folder for temporary files, so it runs as a process of its own with another such folder. */
async function unpackBundled({ cache, logger }: FindChromiumOptions): Promise<string> {
  const main = createRequire(import.meta.url).resolve('@sparticuz/chromium');
  const manifest = join(dirname(main), '..', '..', 'package.json');
  const { version } = z.looseObject({ version: z.string() }).parse(JSON.parse(await readFile(manifest, 'utf8')));
  const folder = join(cache, `chromium-${version}`);
  if (existsSync(join(folder, 'chromium'))) return folder;
  await mkdir(cache, { recursive: true });
  const fresh = await mkdtemp(join(cache, 'chromium-new-'));
  logger.info({ folder }, 'unpacking chromium');
  try {
    const result = await runProcess({
      argv: [
        process.execPath,
        '--eval',
        'const found = require(process.argv[1]); (found.default ?? found).executablePath()',
        main,
      ],
      cwd: '/',
      // This variable makes the package unpack the libraries of a bare machine as well.
      env: { PATH, HOME: fresh, TMPDIR: fresh, AWS_LAMBDA_JS_RUNTIME: 'nodejs20.x' },
      timeoutMs: 120_000,
      outputBytes: 10_000,
    });
    if (result.exitCode !== 0 || !existsSync(join(fresh, 'chromium'))) {
      throw new FleetError('TOOL_UNAVAILABLE', `Chromium could not be unpacked: ${result.stderr.trim().slice(-300)}`, {
        remedy: 'Install a browser, for instance with apt-get install chromium.',
      });
    }
    await allowOthers(fresh);
    if (!existsSync(join(folder, 'chromium'))) await rename(fresh, folder);
    return folder;
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** The sandbox's user is another one than the fleet's. */
async function allowOthers(folder: string): Promise<void> {
  await runProcess({
    argv: ['chmod', '-R', 'a+rX', folder],
    cwd: '/',
    env: { PATH },
    timeoutMs: 20_000,
    outputBytes: 1000,
  });
}
