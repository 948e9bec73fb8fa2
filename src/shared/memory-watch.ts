import { readFile, readdir } from 'node:fs/promises';
import { totalmem } from 'node:os';

const INTERVAL_MS = 500;
const KIB = 1024;

interface Watched {
  limitBytes: number;
  onOver: () => void;
}

/** A process as the kernel tells of it. `pages` counts those that it shares with others for each of them. */
interface Seen {
  parent: number;
  pages: number;
}

/**
 * Ends programs that with all they started hold more memory than they may: limits of the kernel are for each process,
 * and many processes can use them many times. Looks twice a second, once for all that are watched; where there is no
 * `/proc` there is nothing to look at. A process that left its ancestors, as outside of a namespace of processes it can,
 * is not found.
 */
class MemoryWatch {
  readonly #watched = new Map<number, Watched>();
  #timer: NodeJS.Timeout | undefined;

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
      void this.#look().finally(() => {
        this.#timer = undefined;
        this.#later();
      });
    }, INTERVAL_MS);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    const seen = await allProcesses();
    const children = new Map<number, number[]>();
    for (const [pid, { parent }] of seen) children.set(parent, [...(children.get(parent) ?? []), pid]);
    for (const [pid, { limitBytes, onOver }] of this.#watched) {
      const family = familyOf(pid, children);
      const pages = family.reduce((sum, member) => sum + (seen.get(member)?.pages ?? 0), 0);
      if (pages * PAGE_BYTES <= limitBytes || (await heldBy(family)) <= limitBytes) continue;
      if (this.#watched.has(pid)) onOver();
    }
  }
}

/** The kernel counts in pages of 4 KiB on every machine that the fleet runs on; larger ones are looked at too early. */
const PAGE_BYTES = 4 * KIB;

async function allProcesses(): Promise<Map<number, Seen>> {
  const names = await readdir('/proc').catch(() => []);
  const all = await Promise.all(
    names
      .filter((name) => /^\d+$/.test(name))
      .map(async (name): Promise<[number, Seen] | undefined> => {
        const stat = await readFile(`/proc/${name}/stat`, 'latin1').catch(() => undefined);
        // The name of the program comes before, in brackets, and may hold anything.
        const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
        return fields === undefined
          ? undefined
          : [Number(name), { parent: Number(fields[1]), pages: Number(fields[21]) }];
      }),
  );
  return new Map(all.flatMap((one) => (one === undefined ? [] : [one])));
}

function familyOf(pid: number, children: ReadonlyMap<number, readonly number[]>): number[] {
  const family = [pid];
  for (const member of family) family.push(...(children.get(member) ?? []));
  return family;
}

/** What processes hold together, each page once; of one that may not be looked at, nothing is known to be shared. */
async function heldBy(pids: readonly number[]): Promise<number> {
  const held = await Promise.all(
    pids.map(async (pid) => {
      const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'latin1').catch(() => undefined);
      const told = /^Pss:\s+(\d+) kB/m.exec(rollup ?? '') ?? /^VmRSS:\s+(\d+) kB/m.exec(await statusOf(pid));
      return Number(told?.[1] ?? 0) * KIB;
    }),
  );
  return held.reduce((sum, bytes) => sum + bytes, 0);
}

const statusOf = (pid: number): Promise<string> => readFile(`/proc/${pid}/status`, 'latin1').catch(() => '');

const watch = new MemoryWatch();

/** Calls `onOver`, maybe more than once, when a process and its descendants hold more. Returns how to stop looking. */
export const watchMemory = (pid: number, limitBytes: number, onOver: () => void): (() => void) =>
  watch.watch(pid, limitBytes, onOver);

/** The memory of this machine, or of the container that this process is in. */
export function machineMemory(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}
