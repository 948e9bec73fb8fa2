import { readFile, readdir } from 'node:fs/promises';
import { totalmem } from 'node:os';

const INTERVAL_MS = 500;
/** Looking takes at most one part in so many of this process's time, however many processes there are. */
const SHARE = 20;
/** So many files are read at once: the process does other work in between. */
const AT_ONCE = 32;
const KIB = 1024;

interface Watched {
  limitBytes: number;
  onOver: () => void;
}

/** A process as the kernel tells of it. `bytes` counts memory that it shares with others for each of them. */
interface Seen {
  pid: number;
  parent: number;
  bytes: number;
}

/**
 * Ends programs that with all they started hold more memory than they may: limits of the kernel are for each process,
 * and many processes can use them many times. Looks about twice a second, once for all that are watched; where there is
 * no `/proc` there is nothing to look at. A process that left its ancestors, as outside of a namespace of processes it
 * can, is not found, and memory that no process has mapped, as of a memfd, is not counted.
 */
class MemoryWatch {
  readonly #watched = new Map<number, Watched>();
  #timer: NodeJS.Timeout | undefined;
  #pauseMs = INTERVAL_MS;

  /** Watches a process and its descendants until the answer is called. */
  watch(pid: number, limitBytes: number, onOver: () => void): () => void {
    this.#watched.set(pid, { limitBytes, onOver });
    this.#later();
    return () => {
      this.#watched.delete(pid);
    };
  }

  #later(): void {
    if (this.#timer !== undefined || this.#watched.size === 0) return;
    this.#timer = setTimeout(() => {
      const began = performance.now();
      void this.#look().finally(() => {
        this.#pauseMs = Math.max(INTERVAL_MS, SHARE * (performance.now() - began));
        this.#timer = undefined;
        this.#later();
      });
    }, this.#pauseMs);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    const seen = await allProcesses();
    const held = new Map(seen.map(({ pid, bytes }) => [pid, bytes]));
    const children = new Map<number, number[]>();
    for (const { pid, parent } of seen) {
      const known = children.get(parent);
      if (known === undefined) children.set(parent, [pid]);
      else known.push(pid);
    }
    for (const [pid, { limitBytes, onOver }] of this.#watched) {
      const family = familyOf(pid, children);
      const bytes = family.map((member) => held.get(member) ?? 0);
      if (sumOf(bytes) <= limitBytes || sumOf(await heldTogether(family, bytes)) <= limitBytes) continue;
      if (this.#watched.has(pid)) onOver();
    }
  }
}

const sumOf = (all: readonly number[]): number => all.reduce((sum, one) => sum + one, 0);

async function allProcesses(): Promise<Seen[]> {
  const names = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const seen: Seen[] = [];
  for (let at = 0; at < names.length; at += AT_ONCE) {
    const some = await Promise.all(names.slice(at, at + AT_ONCE).map(lookAt));
    seen.push(...some.flatMap((one) => one ?? []));
  }
  return seen;
}

/** What it has of its own and in shared memory; programs and libraries that are mapped cost nothing more. */
async function lookAt(name: string): Promise<Seen | undefined> {
  const status = await readFile(`/proc/${name}/status`, 'latin1').catch(() => undefined);
  if (status === undefined) return undefined;
  const field = (key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
  return { pid: Number(name), parent: field('PPid'), bytes: (field('RssAnon') + field('RssShmem')) * KIB };
}

function familyOf(pid: number, children: ReadonlyMap<number, readonly number[]>): number[] {
  const family = [pid];
  for (const member of family) family.push(...(children.get(member) ?? []));
  return family;
}

/** The share of each in what they hold; of one that may not be looked at, all that it has counts as its own. */
async function heldTogether(pids: readonly number[], bytes: readonly number[]): Promise<number[]> {
  const held: number[] = [];
  for (const [index, pid] of pids.entries()) {
    const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'latin1').catch(() => '');
    const parts = [...rollup.matchAll(/^Pss_(?:Anon|Shmem):\s+(\d+) kB/gm)].map(([, kib]) => Number(kib) * KIB);
    held.push(parts.length === 0 ? (bytes[index] ?? 0) : sumOf(parts));
  }
  return held;
}

const watch = new MemoryWatch();

/** Calls `onOver`, maybe more than once, when a process and its descendants hold more. Returns how to stop looking. */
export const watchMemory = (pid: number, limitBytes: number, onOver: () => void): (() => void) =>
  watch.watch(pid, limitBytes, onOver);

/** The memory of this machine, or of the container that this process is in. */
export function machineMemory(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}
