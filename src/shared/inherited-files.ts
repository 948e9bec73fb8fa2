import { openSync, readFileSync, readdirSync } from 'node:fs';

const CLOSE_ON_EXEC = 0o2000000;
let known: readonly number[] | undefined;
let nothing: number | undefined;

/** An open file without content, to stand in the place of others. */
export const emptyFile = (): number => (nothing ??= openSync('/dev/null', 'r'));

/**
 * Files that whoever started this process left open, and that every program started from here would find open too: a
 * log, a lock, a file with a key. Node's own files are closed by themselves.
 */
export function inheritedFiles(): readonly number[] {
  known ??= listed().filter(isInherited);
  return known;
}

function listed(): number[] {
  try {
    return readdirSync('/proc/self/fd').map(Number);
  } catch {
    // Only Linux tells.
    return [];
  }
}

function isInherited(file: number): boolean {
  if (file < 3) return false;
  try {
    const flags = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${file}`, 'utf8'))?.[1];
    return flags !== undefined && (Number.parseInt(flags, 8) & CLOSE_ON_EXEC) === 0;
  } catch {
    // The one that listed the others is gone.
    return false;
  }
}
