import { createHash } from 'node:crypto';
import { Readable, Writable } from 'node:stream';
import { FleetError } from '../../shared/errors.ts';
import { type GitPlace, git, nulSeparated, streamGit } from '../../shared/git.ts';

/** A file in a tree: its path, and git's name of its bytes. */
export interface TreeFile {
  path: string;
  oid: string;
}

export async function filesOf(place: GitPlace, treeish: string): Promise<TreeFile[]> {
  const lines = nulSeparated(await git(place, ['ls-tree', '-r', '-z', '--format=%(objectname) %(path)', treeish]));
  return lines.map((line) => ({ oid: line.slice(0, line.indexOf(' ')), path: line.slice(line.indexOf(' ') + 1) }));
}

/** The sha256 of each object's bytes, by git's name of it. */
export async function hashesOf(place: GitPlace, oids: readonly string[]): Promise<Map<string, string>> {
  const hashes = new HashedObjects();
  if (oids.length > 0)
    await streamGit(place, ['cat-file', '--batch'], hashes, { stdin: Readable.from(oids.map((oid) => `${oid}\n`)) });
  return hashes.byOid;
}

/** Reads what `git cat-file --batch` prints: a line `OID TYPE SIZE`, so many bytes, and the end of a line. */
class HashedObjects extends Writable {
  readonly byOid = new Map<string, string>();
  #head = '';
  #open: { oid: string; left: number; hash: ReturnType<typeof createHash> } | undefined;

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (err?: Error | null) => void): void {
    try {
      for (let at = 0; at < chunk.length;)
        at = this.#open === undefined ? this.#line(chunk, at) : this.#bytes(chunk, at);
      done();
    } catch (err) {
      done(err instanceof Error ? err : new Error(String(err)));
    }
  }

  #line(chunk: Buffer, at: number): number {
    const end = chunk.indexOf(10, at);
    this.#head += chunk.toString('latin1', at, end === -1 ? chunk.length : end);
    if (end === -1) return chunk.length;
    const [oid = '', type, size] = this.#head.split(' ');
    if (type !== 'blob') throw new FleetError('GIT_FAILED', `git has no file ${this.#head}`);
    this.#open = { oid, left: Number(size) + 1, hash: createHash('sha256') };
    this.#head = '';
    return end + 1;
  }

  #bytes(chunk: Buffer, at: number): number {
    if (this.#open === undefined) return at;
    const taken = Math.min(this.#open.left, chunk.length - at);
    // The last of them is the end of the line behind the bytes.
    const own = Math.min(taken, this.#open.left - 1);
    this.#open.hash.update(chunk.subarray(at, at + own));
    this.#open.left -= taken;
    if (this.#open.left === 0) {
      this.byOid.set(this.#open.oid, this.#open.hash.digest('hex'));
      this.#open = undefined;
    }
    return at + taken;
  }
}
