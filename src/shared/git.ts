import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { FleetError } from './errors.ts';
import { Turns } from './turns.ts';
import { type ProcessResult, runProcess } from './process.ts';

/** A git folder, and the folder of files that belongs to it when there is one. */
export interface GitPlace {
  gitDir: string;
  workTree: string;
}

export interface GitOptions {
  stdin?: string;
  /** Names and dates of a commit, and the like. */
  env?: Readonly<Record<string, string>>;
  /** Output is cut after so many bytes. */
  outputBytes?: number;
}

/** Who commits and merges on behalf of the fleet. */
export const FLEET_IDENTITY = { name: 'Maestro Fleet', email: 'fleet@maestro.invalid' };

const TIMEOUT_MS = 120_000;
const IDLE_MS = 60_000;
const OUTPUT_BYTES = 64 * 1024 ** 2;

/** Neither the user's configuration nor anything in a work tree may change what git does here, or make it run a program. */
const SETTINGS = {
  'core.hooksPath': '/dev/null',
  'core.attributesFile': '/dev/null',
  'core.excludesFile': '/dev/null',
  'core.fsmonitor': 'false',
  'core.autocrlf': 'false',
  'core.quotePath': 'false',
  'core.symlinks': 'true',
  'core.fileMode': 'true',
  'core.protectNTFS': 'true',
  'safe.directory': '*',
  'protocol.allow': 'never',
  'protocol.file.allow': 'always',
  'fetch.fsckObjects': 'true',
  'submodule.recurse': 'false',
  'diff.renames': 'false',
  'merge.renames': 'true',
  'merge.conflictStyle': 'merge',
  'rerere.enabled': 'false',
  'commit.gpgSign': 'false',
  'gc.auto': '0',
  'maintenance.auto': 'false',
  'pack.threads': '1',
  'advice.detachedHead': 'false',
};

/** Attributes that outrank every `.gitattributes`: bytes stay as they are and no conflict is merged away. */
export const OWN_ATTRIBUTES =
  '* -text !eol !merge !filter !ident !diff !working-tree-encoding !export-ignore !export-subst\n';

const SETTING_ARGS = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);

const environment = (place: GitPlace, env: GitOptions['env']): Record<string, string> => ({
  PATH: '/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin',
  // Nothing is looked up in a home folder or in the system's configuration.
  HOME: '/nonexistent',
  XDG_CONFIG_HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_ATTR_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_ASKPASS: '/bin/false',
  GIT_EDITOR: '/bin/false',
  GIT_DIR: place.gitDir,
  GIT_WORK_TREE: place.workTree,
  GIT_NO_REPLACE_OBJECTS: '1',
  LC_ALL: 'C',
  TZ: 'UTC',
  ...env,
});

/**
 * Starting a program holds the event loop up for some milliseconds, the more the larger this process is. With hundreds
 * of conversations at once, git takes turns: more of it at a time would end no sooner, and would stop everything else.
 */
const turns = new Turns(2 * availableParallelism());

const runHere = (place: GitPlace, argv: readonly string[], options: GitOptions): Promise<ProcessResult> =>
  turns.run(undefined, () =>
    runProcess({
      argv,
      cwd: place.workTree,
      env: environment(place, options.env),
      timeoutMs: TIMEOUT_MS,
      outputBytes: options.outputBytes ?? OUTPUT_BYTES,
      stdin: options.stdin,
    }),
  );

/** Runs git on a place. A failing exit code is a result. */
export const tryGit = (place: GitPlace, args: readonly string[], options: GitOptions = {}): Promise<ProcessResult> =>
  runHere(place, ['git', ...SETTING_ARGS, ...args], options);

const SCRIPT_GIT = `git() { command git ${SETTING_ARGS.map((arg) => `'${arg}'`).join(' ')} "$@"; }`;

/**
 * Runs several git commands as one program, which ends with the first that fails, and returns what they printed: one
 * start where each command would have its own. What varies comes as arguments (`$1` ...), and is never part of the
 * script. Throws `GIT_FAILED` with git's own words; `name` says what was tried.
 */
export async function gitScript(
  place: GitPlace,
  { name, script, args = [] }: { name: string; script: string; args?: readonly string[] },
  options: GitOptions = {},
): Promise<string> {
  const result = await runHere(place, ['/bin/sh', '-euc', `${SCRIPT_GIT}\n${script}`, 'git', ...args], options);
  if (result.exitCode === 0 && !result.truncated) return result.stdout;
  throw gitFailure([name], result);
}

/**
 * Runs git with its output, as bytes, going to a stream that is ended when git has succeeded. Whoever reads may leave at
 * any time, and the program then ends. Throws `GIT_FAILED` when git fails, which may be after a part of its output was
 * sent: the stream is then left open, so that nobody takes the part for all of it.
 */
export async function streamGit(
  place: GitPlace,
  args: readonly string[],
  to: Writable,
  options: { stdin?: Readable; env?: GitOptions['env']; idleMs?: number } = {},
): Promise<void> {
  const child = spawn('git', [...SETTING_ARGS, ...args], {
    cwd: place.workTree,
    env: environment(place, options.env),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  // However long it takes, something must flow: a reader who does not read, or who asks nothing, holds up nobody.
  const idle = setTimeout(() => child.kill('SIGKILL'), options.idleMs ?? IDLE_MS);
  child.stdout.on('data', () => idle.refresh());
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString('utf8')).slice(0, 2_000)));
  child.stdin.on('error', () => child.stdin.destroy());
  // What is asked may break off; git then sees the end of its input.
  if (options.stdin === undefined) child.stdin.end();
  else options.stdin.on('error', () => child.stdin.destroy()).pipe(child.stdin);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code));
  });
  try {
    await Promise.all([pipeline(child.stdout, to, { end: false }), ended]);
  } catch (err) {
    child.kill('SIGKILL');
    throw new FleetError('GIT_FAILED', `git ${args[0] ?? ''} was broken off`, { cause: err, retry: true });
  } finally {
    clearTimeout(idle);
  }
  const exitCode = await ended;
  if (exitCode === 0) {
    to.end();
    return;
  }
  throw new FleetError('GIT_FAILED', `git ${args[0] ?? ''} failed: ${stderr.trim() || 'it was ended'}`, {
    details: { exitCode },
  });
}

/** Runs git and returns what it printed. Throws `GIT_FAILED` with git's own words. */
export async function git(place: GitPlace, args: readonly string[], options: GitOptions = {}): Promise<string> {
  const result = await tryGit(place, args, options);
  if (result.exitCode === 0 && !result.truncated) return result.stdout;
  throw gitFailure(args, result);
}

export function gitFailure(args: readonly string[], result: ProcessResult): FleetError {
  const said = (result.stderr.trim() || result.stdout.trim()).split('\n').slice(0, 5).join(' ');
  const why = result.truncated ? 'printed too much' : said || `ended by ${result.endedBy}`;
  return new FleetError('GIT_FAILED', `git ${args[0] ?? ''} failed: ${why}`, {
    retry: result.endedBy !== 'exit',
    details: { exitCode: result.exitCode, endedBy: result.endedBy },
  });
}

/** The lines of output that was printed with `-z`. */
export const nulSeparated = (output: string): string[] => output.split('\0').filter((part) => part !== '');

/** Environment that names the author and the committer, at one moment. */
export function identities(author: { name: string; email: string }, date: string): Readonly<Record<string, string>> {
  return {
    GIT_AUTHOR_NAME: author.name,
    GIT_AUTHOR_EMAIL: author.email,
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_NAME: FLEET_IDENTITY.name,
    GIT_COMMITTER_EMAIL: FLEET_IDENTITY.email,
    GIT_COMMITTER_DATE: date,
  };
}
