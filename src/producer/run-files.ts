import { FleetError } from '../shared/errors.ts';
import { type GitPlace, git, nulSeparated, tryGit } from '../shared/git.ts';
import { lastPersonas } from '../shared/last-personas.ts';
import { replayedMark } from '../shared/run-record.ts';
import type { ChangedPath, RunChange, RunFile } from './files-schemas.ts';

/** More files than anybody looks at in a list; whoever needs them all clones. */
const MOST_FILES = 20_000;
const MOST_CHANGES = 2_000;
/** A diff is cut after so many bytes, and says so. */
const DIFF_BYTES = 2 * 1024 ** 2;

const KIND: Readonly<Record<string, RunFile['kind']>> = { '120000': 'link', '100755': 'program' };

/** One line of `git ls-tree --long`. */
interface TreeEntry {
  mode: string;
  oid: string;
  /** Bytes. */
  size: number;
  path: string;
}

function treeEntries(output: string): TreeEntry[] {
  return nulSeparated(output).flatMap((line) => {
    const [, mode = '', type, oid = '', size = ''] = /^(\d+) (\w+) ([0-9a-f]+) +(\d+|-)\t/.exec(line) ?? [];
    const path = line.slice(line.indexOf('\t') + 1);
    return type === 'blob' ? [{ mode, oid, size: Number(size), path }] : [];
  });
}

/** The files of a commit, in the order of their paths, each with the persona who last changed it. */
export async function listFiles(place: GitPlace, commit: string): Promise<{ files: RunFile[]; truncated: boolean }> {
  const args = ['ls-tree', '-r', '-z', '--long', '--full-tree', '--end-of-options', commit];
  const entries = treeEntries(await git(place, args));
  const personas = await lastPersonas(place, commit, { commits: MOST_CHANGES });
  const files = entries.slice(0, MOST_FILES).map(({ mode, size, path }) => {
    const persona = personas.get(path);
    return {
      path,
      size,
      kind: KIND[mode] ?? 'file',
      persona: persona === undefined || persona === '' ? null : persona,
    };
  });
  return { files, truncated: entries.length > MOST_FILES };
}

/** One file of a commit. Throws `NOT_FOUND`. */
export async function findFile(place: GitPlace, commit: string, path: string): Promise<TreeEntry> {
  const isPlain = !path.includes('\0') && path.split('/').every((part) => !['', '.', '..'].includes(part));
  const args = ['ls-tree', '-z', '--long', '--full-tree', commit, '--', path];
  const found = isPlain ? treeEntries(await git(place, args)).find((entry) => entry.path === path) : undefined;
  if (found === undefined) throw new FleetError('NOT_FOUND', `there is no file ${JSON.stringify(path)} in ${commit}`);
  return found;
}

/** Whether a file holds text, by git's own rule: no NUL byte in its beginning. */
export async function isText(place: GitPlace, { oid }: Pick<TreeEntry, 'oid'>): Promise<boolean> {
  const { stdout } = await tryGit(place, ['cat-file', 'blob', oid], { outputBytes: 8_000 });
  return !stdout.includes('\0');
}

const FIELDS = ['%H', '%P', '%aI', '%an'];
const TRAILERS = ['Phase', 'Persona', 'Round', 'Attempt', 'Edited-By', 'Simulated', 'Replayed'];
const BEGINNING = '\u0001';

/** What was changed in the history of some commits, newest first: a commit for each persona and round. */
export async function listChanges(
  place: GitPlace,
  commits: readonly string[],
): Promise<{ changes: RunChange[]; truncated: boolean }> {
  if (commits.length === 0) return { changes: [], truncated: false };
  const trailers = TRAILERS.map((key) => `%(trailers:key=${key},valueonly,separator=%x2C)`);
  const format = ['%x01', ...FIELDS, ...trailers, '%s'].join('%x00');
  const args = [
    'log',
    '-z',
    '--no-merges',
    '--no-renames',
    '--numstat',
    '--date-order',
    '--stdin',
    `--max-count=${MOST_CHANGES + 1}`,
    `--format=${format}`,
  ];
  const parts = (await git(place, args, { stdin: `${[...new Set(commits)].join('\n')}\n` })).split('\0');
  const changes: RunChange[] = [];
  for (let at = parts.indexOf(BEGINNING); at !== -1 && at < parts.length;) {
    const [change, next] = readChange(parts, at + 1);
    if (change.files.length > 0) changes.push(change);
    at = next;
  }
  return { changes: changes.slice(0, MOST_CHANGES), truncated: changes.length > MOST_CHANGES };
}

const number = (text: string | undefined): number | null => (/^\d+$/.test(text ?? '') ? Number(text) : null);
const word = (text: string | undefined): string | null => (text === undefined || text === '' ? null : text);

/** One commit of the log, and where the next begins. */
function readChange(parts: readonly string[], from: number): [RunChange, number] {
  const count = FIELDS.length + TRAILERS.length + 1;
  const [
    commit = '',
    parents = '',
    at = '',
    author = '',
    phase,
    persona,
    round,
    attempt,
    editedBy,
    simulated,
    replayed,
    subject,
  ] = parts.slice(from, from + count);
  const files: ChangedPath[] = [];
  let next = from + count;
  for (; next < parts.length && parts[next] !== BEGINNING; next += 1) {
    const [, added, deleted, path] = /^\n?(\d+|-)\t(\d+|-)\t([^]+)$/.exec(parts[next] ?? '') ?? [];
    if (path === undefined) continue;
    const lines = added === '-' ? null : { added: Number(added), deleted: Number(deleted) };
    files.push({ path, lines });
  }
  const change: RunChange = {
    commit,
    parent: word(parents.split(' ')[0]),
    at,
    author,
    phase: word(phase),
    persona: word(persona),
    round: number(round),
    attempt: number(attempt),
    editedBy: word(editedBy),
    simulated: simulated === 'true',
    ...replayedMark(replayed === 'true'),
    subject: subject ?? '',
    files,
  };
  return [change, next];
}

/** What one commit changed, as a unified diff. */
export async function diffOf(
  place: GitPlace,
  commit: string,
  path: string | undefined,
): Promise<{ diff: string; truncated: boolean }> {
  const only = path === undefined ? [] : [`:(top,literal)${path}`];
  const args = ['diff-tree', '--root', '-r', '-p', '--no-commit-id', '--no-renames', '--no-ext-diff', '--no-textconv'];
  const { exitCode, stdout, truncated, stderr } = await tryGit(
    place,
    [...args, '--end-of-options', commit, '--', ...only],
    { outputBytes: DIFF_BYTES },
  );
  if (exitCode === 0 || truncated) return { diff: stdout, truncated };
  throw new FleetError('GIT_FAILED', `the diff of ${commit} cannot be made: ${stderr.trim()}`);
}

/** Throws `NOT_FOUND` when a repository does not hold a commit. */
export async function assertCommit(place: GitPlace, commit: string): Promise<void> {
  const found = await tryGit(place, ['cat-file', '-e', `${commit}^{commit}`]);
  if (found.exitCode !== 0) throw new FleetError('NOT_FOUND', `the run has no commit ${commit}`);
}
