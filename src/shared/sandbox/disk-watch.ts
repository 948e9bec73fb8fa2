import { lstat, opendir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { SandboxLimits, SandboxMount, SandboxResult } from './sandbox.ts';

const INTERVAL_MS = 500;

/** Bytes and files: what is free, or what is there. */
interface Room {
  bytes: number;
  files: number;
}

export interface DiskWatch {
  /** Aborted when the writable mounts grew too much, and when the caller's signal is. */
  signal: AbortSignal;
  /** Says in the result that the disk limit ended the command. */
  explain(result: SandboxResult, callerSignal: AbortSignal | undefined): SandboxResult;
  stop(): void;
}

/**
 * Ends a command that fills the disk: so many bytes of it are gone since the start, and the writable mounts hold more
 * than that; or so many files. What is free is looked at often, because that is cheap; what is there is only counted once
 * enough of it is gone.
 */
export function watchDisk(
  mounts: readonly SandboxMount[],
  limit: Pick<SandboxLimits, 'diskBytes' | 'files'>,
  caller?: AbortSignal,
): DiskWatch {
  const full = new AbortController();
  const hosts = mounts.filter((mount) => mount.writable).map((mount) => mount.host);
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  // A disk that cannot be watched any more ends the command as well.
  const later = (freeAtStart: Room): void => {
    timer = setTimeout(() => void look(freeAtStart).catch(() => full.abort()), INTERVAL_MS);
  };
  const look = async (freeAtStart: Room): Promise<void> => {
    const free = await freeRoom(hosts);
    const gone = { bytes: freeAtStart.bytes - free.bytes, files: freeAtStart.files - free.files };
    const isSuspicious = gone.bytes > limit.diskBytes || gone.files > limit.files;
    const held = isSuspicious ? await heldBy(hosts, limit.files) : { bytes: 0, files: 0 };
    if (held.bytes > limit.diskBytes || held.files > limit.files) full.abort();
    else if (!isStopped) later(freeAtStart);
  };
  const begin = async (): Promise<void> => {
    const freeAtStart = await freeRoom(hosts);
    if (!isStopped) later(freeAtStart);
  };
  if (hosts.length > 0) void begin();
  return {
    signal: caller === undefined ? full.signal : AbortSignal.any([full.signal, caller]),
    explain(result, callerSignal) {
      if (!full.signal.aborted || callerSignal?.aborted === true) return result;
      const stderr = `${result.stderr}\n[ended: more than ${limit.diskBytes} bytes or ${limit.files} files were written]\n`;
      return { ...result, endedBy: 'signal', stderr };
    },
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}

async function freeRoom(hosts: readonly string[]): Promise<Room> {
  const free = await Promise.all(
    hosts.map(async (host): Promise<Room> => {
      const info = await statfs(host).catch(() => undefined);
      return info === undefined ? { bytes: 0, files: 0 } : { bytes: info.bavail * info.bsize, files: info.ffree };
    }),
  );
  return {
    bytes: Math.min(...free.map(({ bytes }) => bytes)),
    files: Math.min(...free.map(({ files }) => files)),
  };
}

/** What lies below the folders; what vanishes while it is counted counts as nothing. */
async function heldBy(paths: readonly string[], maxFiles: number): Promise<Room> {
  const held = { bytes: 0, files: 0 };
  const waiting = [...paths];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const info = await lstat(path).catch(() => undefined);
    held.bytes += (info?.blocks ?? 0) * 512;
    held.files += 1;
    // Enough is known, and counting on would cost more than it tells.
    if (held.files > maxFiles) return held;
    if (info?.isDirectory() !== true) continue;
    const folder = await opendir(path).catch(() => undefined);
    if (folder === undefined) continue;
    for await (const entry of folder) waiting.push(join(path, entry.name));
  }
  return held;
}
