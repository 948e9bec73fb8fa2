import { lstat, opendir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { SandboxMount, SandboxResult } from './sandbox.ts';

const INTERVAL_MS = 500;

export interface DiskWatch {
  /** Aborted when the writable mounts grew too much, and when the caller's signal is. */
  signal: AbortSignal;
  /** Says in the result that the disk limit ended the command. */
  explain(result: SandboxResult, callerSignal: AbortSignal | undefined): SandboxResult;
  stop(): void;
}

/**
 * Ends a command that fills the disk: so many bytes of it are gone since the start, and the writable mounts hold more
 * than that. Free space is looked at often, because that is cheap; files are only counted once enough of it is gone.
 */
export function watchDisk(mounts: readonly SandboxMount[], limitBytes: number, caller?: AbortSignal): DiskWatch {
  const full = new AbortController();
  const hosts = mounts.filter((mount) => mount.writable).map((mount) => mount.host);
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  // A disk that cannot be watched any more ends the command as well.
  const later = (freeAtStart: number): void => {
    timer = setTimeout(() => void look(freeAtStart).catch(() => full.abort()), INTERVAL_MS);
  };
  const look = async (freeAtStart: number): Promise<void> => {
    const isSuspicious = freeAtStart - (await freeBytes(hosts)) > limitBytes;
    if (isSuspicious && (await totalBytes(hosts)) > limitBytes) full.abort();
    else if (!isStopped) later(freeAtStart);
  };
  const begin = async (): Promise<void> => {
    const freeAtStart = await freeBytes(hosts);
    if (!isStopped) later(freeAtStart);
  };
  if (hosts.length > 0) void begin();
  return {
    signal: caller === undefined ? full.signal : AbortSignal.any([full.signal, caller]),
    explain(result, callerSignal) {
      if (!full.signal.aborted || callerSignal?.aborted === true) return result;
      const stderr = `${result.stderr}\n[ended: more than ${limitBytes} bytes were written]\n`;
      return { ...result, endedBy: 'signal', stderr };
    },
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}

async function freeBytes(hosts: readonly string[]): Promise<number> {
  const free = await Promise.all(
    hosts.map(async (host) => {
      const info = await statfs(host).catch(() => undefined);
      return info === undefined ? 0 : info.bavail * info.bsize;
    }),
  );
  return Math.min(...free);
}

/** Bytes on disk below the folders; what vanishes while it is counted counts as nothing. */
async function totalBytes(paths: readonly string[]): Promise<number> {
  let total = 0;
  const waiting = [...paths];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const info = await lstat(path).catch(() => undefined);
    total += (info?.blocks ?? 0) * 512;
    if (info?.isDirectory() !== true) continue;
    const folder = await opendir(path).catch(() => undefined);
    if (folder === undefined) continue;
    for await (const entry of folder) waiting.push(join(path, entry.name));
  }
  return total;
}
