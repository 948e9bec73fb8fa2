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
 * Ends a command whose writable mounts grow by more than a number of bytes. Free space is looked at often, because that
 * is cheap; files are only counted once enough of it is gone, since others write to the same disk.
 */
export function watchDisk(mounts: readonly SandboxMount[], limitBytes: number, caller?: AbortSignal): DiskWatch {
  const full = new AbortController();
  const hosts = mounts.filter((mount) => mount.writable).map((mount) => mount.host);
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  const look = async (freeAtStart: number): Promise<void> => {
    const isSuspicious = freeAtStart - (await freeBytes(hosts)) > limitBytes;
    if (isSuspicious && (await totalBytes(hosts)) > limitBytes) full.abort();
    else if (!isStopped) timer = setTimeout(() => void look(freeAtStart), INTERVAL_MS);
  };
  const begin = async (): Promise<void> => {
    const freeAtStart = await freeBytes(hosts);
    if (!isStopped) timer = setTimeout(() => void look(freeAtStart), INTERVAL_MS);
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
