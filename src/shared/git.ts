import { FleetError } from './errors.ts';
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
}

/** Who commits and merges on behalf of the fleet. */
export const FLEET_IDENTITY = { name: 'Maestro Fleet', email: 'fleet@maestro.invalid' };

const TIMEOUT_MS = 120_000;
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

/** Runs git on a place. A failing exit code is a result. */
export function tryGit(place: GitPlace, args: readonly string[], options: GitOptions = {}): Promise<ProcessResult> {
  const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return runProcess({
    argv: ['git', ...settings, ...args],
    cwd: place.workTree,
    env: {
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
      ...options.env,
    },
    timeoutMs: TIMEOUT_MS,
    outputBytes: OUTPUT_BYTES,
    stdin: options.stdin,
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
