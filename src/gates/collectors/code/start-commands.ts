import { posix } from 'node:path';
import { z } from 'zod';
import { commandsIn, isComputed } from '../documents/shell-commands.ts';

/** What is begun with `npm start`, as far as it can be read without running it. */
export interface Started {
  /** Every path that may be meant, from the top of the project; most words are none. */
  paths: string[];
  /** Why it is not known what is begun: one line. */
  undecided: string | undefined;
}

export type Scripts = Readonly<Record<string, unknown>>;
/** The text of a file of the project; undefined when there is none of that name. */
export type ReadFile = (path: string) => Promise<string | undefined>;

const Nested = z.looseObject({
  main: z.string().optional().catch(undefined),
  scripts: z.record(z.string(), z.unknown()).default({}).catch({}),
});

const SHELLS = ['sh', 'bash', 'dash', 'zsh', 'ksh', 'source', '.'];
const NODES = ['node', 'nodejs', 'tsx', 'ts-node', 'bun', 'deno', 'nodemon', 'pm2', 'forever'];
const RUNNERS = new Set([...SHELLS, ...NODES]);
/** Words of a runner that are no program. */
const VERBS = new Set(['run', 'start', 'watch', 'exec']);
const LOADING = /^(?:-r|--require|--import|--loader|--experimental-loader)(?:=|$)/;
const INLINE = /^(?:-e|--eval|-p|--print|-pe)$/;
const FOLDER_FLAG = /^(?:--prefix|--cwd|--dir|-C)(?:=|$)/;
/** Any word after one of these may be the name of a script. */
const RUNS_SCRIPTS = /\b(?:npm|yarn|pnpm|npm-run-all|run-[sp])\b|--run\b/;
/** What a script was given stands where it was called, and is looked at there. */
const GIVEN = /^\$(?:[@*\d]|\{[@*\d]\})$/;
/** The folder that a script stands in, in the ways that it asks for it. */
const OWN_FILE = String.raw`"?\$(?:0|\{0\}|BASH_SOURCE|\{BASH_SOURCE(?:\[0\])?\})"?`;
const OWN_FOLDER = new RegExp(
  String.raw`\$\(\s*dirname\s+(?:--\s+)?(?:\$\(\s*(?:readlink -f|realpath)\s+)?${OWN_FILE}\s*(?:\)\s*)?\)|\$\{0%/\*\}`,
  'g',
);
const RESOLVED = /\$\(\s*cd\s+(?:--\s+)?"?([^"$`()\s]+)"?\s*(?:>\/dev\/null\s*)?(?:&&|;)\s*pwd(?:\s+-P)?\s*\)/g;
/** Stands for the top of the project, so that a folder of its own is found from everywhere. */
const TOP = '/..top';
/** Whoever writes more than this to start a program does not want it to be read. */
const MOST_TEXTS = 50;
const MOST_CHARACTERS = 20_000;
const MOST_FOLDERS = 16;
const MOST_PATHS = 20_000;
const MOST_VALUE = 200;

/** Reads the start script, and every script and shell file that it runs in turn. */
export async function startedBy(scripts: Scripts, readFile: ReadFile): Promise<Started> {
  const reader = new StartReader(readFile);
  for (const name of ['prestart', 'start', 'poststart']) await reader.script(scripts, name, { own: '', folders: [''] });
  return { paths: [...reader.paths], undecided: reader.undecided };
}

/** Where a text stands, and in which folders of the project it may be run. */
interface Place {
  where: string;
  own: string;
  folders: readonly string[];
  scripts: Scripts;
}

class StartReader {
  readonly paths = new Set<string>();
  undecided: string | undefined;
  readonly #readFile: ReadFile;
  readonly #seen = new Set<string>();

  constructor(readFile: ReadFile) {
    this.#readFile = readFile;
  }

  async script(scripts: Scripts, name: string, at: Pick<Place, 'own' | 'folders'>): Promise<void> {
    const text = Object.hasOwn(scripts, name) ? scripts[name] : undefined;
    if (typeof text === 'string') await this.#read(text, { ...at, where: `the script "${name}"`, scripts });
  }

  async #read(written: string, at: Place): Promise<void> {
    const key = JSON.stringify([written, at.folders]);
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    const text = settled(written, at.own);
    if (text === undefined || this.#seen.size > MOST_TEXTS || this.paths.size > MOST_PATHS)
      return this.#leaveOpen(at.where, 'it is too long to be followed');
    const folders = new Set(at.folders);
    const inner: string[] = [];
    for (const { words } of commandsIn(text)) {
      for (const target of this.#foldersOf(words, at.where))
        for (const moved of [...folders].map((folder) => placed(folder, target))) folders.add(moved);
      // Each change doubles them.
      if (folders.size > MOST_FOLDERS) return this.#leaveOpen(at.where, 'it changes folders too often to be followed');
      this.#judge(words, text, at.where);
      inner.push(
        ...words.filter((word) => /\s/.test(word)),
        ...words.flatMap((word, index) => (words[index - 1] === '-c' ? [word] : [])),
      );
    }
    const inside = { ...at, folders: [...folders] };
    const words = new Set(text.split(/[\s"'`=;&|(),]+/).filter((word) => word !== '' && !word.includes('*')));
    for (const folder of folders) {
      for (const word of words) this.paths.add(placed(folder, word));
      if (folder !== '') await this.#package(folder, words, RUNS_SCRIPTS.test(text));
    }
    for (const each of inner) await this.#read(each, inside);
    if (RUNS_SCRIPTS.test(text))
      for (const word of words)
        for (const name of [`pre${word}`, word, `post${word}`]) await this.script(at.scripts, name, inside);
    for (const path of [...folders].flatMap((folder) => [...words].map((word) => placed(folder, word)))) {
      const shell = await this.#shellFile(path);
      if (shell !== undefined) await this.#read(shell, { ...inside, where: path, own: posix.dirname(path) });
    }
  }

  /** A package in a folder of the project: where it begins, and its scripts where a script is run there. */
  async #package(folder: string, words: ReadonlySet<string>, runsScripts: boolean): Promise<void> {
    const text = await this.#readFile(posix.join(folder, 'package.json'));
    if (text === undefined) return;
    const parsed = Nested.safeParse(jsonOf(text));
    if (!parsed.success) return this.#leaveOpen(folder, 'its package.json cannot be read');
    const { main, scripts } = parsed.data;
    if (main !== undefined) this.paths.add(placed(folder, main));
    if (!runsScripts) return;
    for (const word of words)
      for (const name of [`pre${word}`, word, `post${word}`])
        await this.script(scripts, name, { own: folder, folders: [folder] });
  }

  async #shellFile(path: string): Promise<string | undefined> {
    if (!/\.(?:ba|da|z|k)?sh$/.test(path) && posix.extname(path) !== '') return undefined;
    const text = await this.#readFile(path);
    if (text === undefined) return undefined;
    return path.endsWith('sh') || /^#!.*\b(?:ba|da|z|k)?sh\b/.test(text) ? text : undefined;
  }

  /** The folders that a command changes to, or has another program begin in. */
  #foldersOf(words: readonly string[], where: string): string[] {
    const [program = '', ...args] = words;
    const named =
      program === 'cd' || program === 'pushd'
        ? args.filter((word) => !word.startsWith('-')).slice(0, 1)
        : words.flatMap((word, index) => {
            if (!FOLDER_FLAG.test(word)) return [];
            return [word.includes('=') ? word.slice(word.indexOf('=') + 1) : (words[index + 1] ?? '')];
          });
    const open = named.find((word) => word.includes('$') || word.includes('`'));
    if (open !== undefined) this.#leaveOpen(where, `the folder ${open} is known only when it runs`);
    return named.filter((word) => word !== open);
  }

  /** Whether it can be read what a command runs. */
  #judge(words: readonly string[], text: string, where: string): void {
    const [program = ''] = words;
    if (program.startsWith('$') && !GIVEN.test(program))
      return this.#leaveOpen(where, `the program ${program} is known only when it runs`);
    if (program === 'make') return this.#leaveOpen(where, 'what make runs is not followed');
    const at = words.findIndex((word) => RUNNERS.has(posix.basename(word)) && (word !== '.' || word === program));
    if (at === -1) return;
    const runner = posix.basename(words[at] ?? '');
    const args = words.slice(at + 1);
    const isNode = NODES.includes(runner);
    if (isNode && args.some((word) => INLINE.test(word)))
      return this.#leaveOpen(where, `${runner} runs code that stands in the command, and nothing measures it`);
    const loaded = args.flatMap((word, index) =>
      LOADING.test(word) ? [word.includes('=') ? word : (args[index + 1] ?? '')] : [],
    );
    const operand = args.find(
      (word, index) => !word.startsWith('-') && !VERBS.has(word) && !/^(?:-r|--\w+)$/.test(args[index - 1] ?? ''),
    );
    const open = [...loaded, ...(operand === undefined ? [] : [operand])].find(
      (word) => isComputed(word) && !GIVEN.test(word),
    );
    if (open !== undefined && args[args.indexOf(open) - 1] !== '-c')
      this.#leaveOpen(where, `${runner} ${open}: what that is is known only when it runs`);
    if (isNode && args.length === 0 && /\|\s*node\b|\bnode\b[^\n;|&]*<</.test(text))
      this.#leaveOpen(where, `${runner} runs what it is given, and nothing measures it`);
  }

  #leaveOpen(where: string, why: string): void {
    this.undecided ??= `what package.json starts is not decided: ${where}: ${why}; write out a path of the code that is measured`;
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A path of the project, seen from one of its folders. */
function placed(folder: string, path: string): string {
  const found = path.startsWith(`${TOP}/`) ? path.slice(TOP.length + 1) : posix.join(folder, path);
  return posix.normalize(found);
}

/**
 * A script with everything filled in that is known before it runs: its own folder, and variables that are set once.
 * Undefined when it is longer than anybody would read.
 */
function settled(text: string, own: string): string | undefined {
  if (text.length > MOST_CHARACTERS) return undefined;
  const here = `${TOP}/${own}`.replace(/\/\.?$/, '/.');
  let known = text.replaceAll(OWN_FOLDER, here).replaceAll(RESOLVED, '$1');
  known = known.replaceAll(/\$\(\s*pwd(?:\s+-P)?\s*\)|\$PWD\b|\$\{PWD\}/g, '.');
  known = known.replaceAll(/\$\{\w+:?-([^${}`]*)\}/g, '$1');
  const values = new Map<string, string | undefined>();
  for (const [, name = '', value = ''] of known.matchAll(
    /(?:^|[\s;&|(])([A-Za-z_]\w*)=("[^"]*"|'[^']*'|[^\s;&|)]*)/g,
  )) {
    const plain = value.replaceAll(/["']/g, '');
    values.set(name, values.has(name) && values.get(name) !== plain ? undefined : plain);
  }
  for (let round = 0; round < 3 && known.length <= MOST_CHARACTERS; round += 1)
    known = known.replaceAll(/\$(?:\{(\w+)\}|(\w+))/g, (written, braced, bare) => {
      const value = values.get(String(braced ?? bare));
      return value === undefined || value.length > MOST_VALUE ? written : value;
    });
  return known.length <= MOST_CHARACTERS ? known : undefined;
}
