import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { removeTree } from '../../shared/remove-tree.ts';
import { dataBlock } from './data-block.ts';
import type { FileChange } from './lineage.ts';
import { type FileStamp, type TreeSnapshot, changesBetween, nothingOdd, snapshotTree } from './tree-snapshot.ts';

/** The most files that a phase may hand on; each of them is looked at after every command. */
const MAX_FILES = 50_000;

const SHOWN = 20;

/** What git says of a work tree. */
interface Git {
  /** Every file that it keeps or would keep, and nested repositories with a `/`; undefined when that is too long a list. */
  kept(): Promise<string[] | undefined>;
  /** Those of some paths that it does not ignore. */
  notIgnored(paths: readonly string[]): Promise<string[]>;
}

interface Amount {
  bytes: number;
  files: number;
}

const amountOf = (files: TreeSnapshot): Amount => {
  let bytes = 0;
  for (const file of files.values()) bytes += file.bytes;
  return { bytes, files: files.size };
};

/**
 * The files that a persona works on, as its tools see them: what a command changed, what git cannot keep, and whether
 * there is more than may be handed on. Git is asked only when the files that are there could be too many.
 */
export class WorkTree {
  readonly #root: string;
  readonly #git: Git | undefined;
  readonly #limits: Amount;
  /** At most so much is kept; unknown before it was first looked at. */
  #held: Amount | undefined;
  #fault: string | undefined;
  /** While there are too many files to trace: those that were traced last. */
  #untraced: Map<string, FileStamp> | undefined;
  /** Files that git ignores, when there are so many that only the others are traced. */
  #ignored: ReadonlySet<string> = new Set();

  /** `bytes`: the most that may be kept. Every worker after this fetches them, and git packs them after each turn. */
  constructor(root: string, git?: Git, limits: Partial<Amount> = {}) {
    this.#root = root;
    this.#git = git;
    this.#limits = { bytes: Number.POSITIVE_INFINITY, files: MAX_FILES, ...limits };
  }

  /** Why its files are neither saved nor handed off, in words for the model; undefined while they can be. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** What a command begins with. */
  async beforeCommand(): Promise<TreeSnapshot> {
    if (this.#untraced !== undefined) return this.#untraced;
    return this.#traced(await snapshotTree(this.#root));
  }

  /** What a command changed. What cannot be kept is removed, and told of. */
  async afterCommand(before: TreeSnapshot): Promise<{ changed: FileChange[]; notes: string[] }> {
    const { files, notes } = await this.#look();
    if (this.#isTooMany(files.size)) {
      this.#untraced = new Map(before);
      return { changed: [], notes };
    }
    const changed = await changesBetween(this.#root, this.#traced(before), this.#traced(files));
    this.#untraced = undefined;
    return { changed, notes };
  }

  /** Notes that a tool has written a file. */
  async wrote(path: string, bytes: number): Promise<void> {
    const written = { bytes, stamp: '' };
    this.#untraced?.set(path, written);
    if (this.#held !== undefined) this.#held = { bytes: this.#held.bytes + bytes, files: this.#held.files + 1 };
    if (this.#fault !== undefined || this.#held === undefined || this.#isOver(this.#held)) await this.#look();
  }

  /** Notes that a tool has removed a file. */
  async removed(): Promise<void> {
    if (this.#fault !== undefined) await this.#look();
  }

  #traced(files: TreeSnapshot): TreeSnapshot {
    if (this.#ignored.size === 0) return files;
    return new Map([...files].filter(([path]) => !this.#ignored.has(path)));
  }

  #isOver({ bytes, files }: Amount): boolean {
    return bytes > this.#limits.bytes || files > this.#limits.files;
  }

  #isTooMany(files: number): boolean {
    return files - this.#ignored.size > this.#limits.files;
  }

  async #look(): Promise<{ files: TreeSnapshot; notes: string[] }> {
    const root = this.#root;
    const odd = nothingOdd();
    const files = await snapshotTree(root, odd);
    const all = new Map(files);
    const gone: string[] = [];
    // Git is asked only after what it would choke on is gone.
    const clear = async (): Promise<void> => {
      for (const path of odd.refused.splice(0)) {
        await removeTree(join(root, path));
        gone.push(path);
      }
    };
    await clear();
    while (this.#git !== undefined && odd.packages.length > 0) {
      for (const folder of await this.#git.notIgnored(odd.packages.splice(0)))
        for (const [path, file] of await snapshotTree(root, odd, join(root, folder))) all.set(path, file);
      await clear();
    }
    let kept: string[] | undefined;
    if (odd.special.length > 0) {
      kept = await this.#git?.kept();
      const known = new Set(kept);
      odd.refused.push(...odd.special.filter((path) => known.has(path)));
      await clear();
    }
    const { unnamed } = odd;
    for (const path of unnamed) await (typeof path === 'string' ? removeTree(path) : rm(path, { recursive: true }));
    await this.#measure(all, files, kept);
    return { files, notes: [...notesOn(unnamed.length, gone)] };
  }

  async #measure(all: TreeSnapshot, files: TreeSnapshot, listed: readonly string[] | undefined): Promise<void> {
    this.#ignored = new Set();
    this.#fault = undefined;
    this.#held = amountOf(all);
    if (!this.#isOver(this.#held)) return;
    const names = this.#git === undefined ? [...all.keys()] : (listed ?? (await this.#git.kept()));
    const kept = names === undefined ? all : onlyKept(all, names);
    if (files.size > this.#limits.files) this.#ignored = new Set([...files.keys()].filter((path) => !kept.has(path)));
    this.#held = amountOf(kept);
    if (this.#isOver(this.#held)) this.#fault = faultOf(kept, this.#held, this.#limits);
  }
}

function* notesOn(unnamed: number, refused: readonly string[]): Generator<string> {
  if (unnamed > 0)
    yield `What lay too deep for a path, or had a name that is no UTF-8, was removed (${unnamed} places).`;
  if (refused.length === 0) return;
  const names = refused.slice(0, SHOWN).map((path) => JSON.stringify(path));
  yield `Git cannot keep what has such a name or is no file, so this was removed (${refused.length} places):`;
  yield dataBlock(names.join('\n'), { removed: refused.length });
}

/** Git names a nested repository by its folder alone; all in it will be kept, once it is none any more. */
function onlyKept(all: TreeSnapshot, names: readonly string[]): TreeSnapshot {
  const listed = new Set(names);
  const nested = new Set(names.filter((name) => name.endsWith('/')));
  const isNested = (path: string): boolean => {
    for (let folder = dirname(path); folder !== '.'; folder = dirname(folder))
      if (nested.has(`${folder}/`)) return true;
    return false;
  };
  return new Map([...all].filter(([path]) => listed.has(path) || (nested.size > 0 && isNested(path))));
}

function faultOf(kept: TreeSnapshot, held: Amount, limits: Amount): string {
  const isLarge = held.bytes > limits.bytes;
  const sizes = new Map<string, number>();
  for (const [path, { bytes }] of kept) {
    const key = isLarge ? path : `${dirname(path)}/`;
    sizes.set(key, (sizes.get(key) ?? 0) + (isLarge ? bytes : 1));
  }
  const most = [...sizes].toSorted(([, a], [, b]) => b - a).slice(0, SHOWN);
  const shown = most.map(([path, size]) => `${size} ${isLarge ? 'bytes' : 'files'} ${JSON.stringify(path)}`);
  return [
    `The workspace holds ${held.files} files with ${held.bytes} bytes that are not ignored; at most ${limits.files} files ` +
      `with ${limits.bytes} bytes can be kept. Until it holds less, its files are not saved and cannot be handed off. ` +
      'Delete what was generated, or name it in .gitignore. The most is in:',
    dataBlock(shown.join('\n'), { largest: most.length }),
  ].join('\n');
}
