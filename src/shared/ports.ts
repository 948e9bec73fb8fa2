import { readFile, readdir, readlink } from 'node:fs/promises';
import { FleetError } from './errors.ts';

/** State of a listening socket in /proc/net/tcp. */
const LISTENING = '0A';

/**
 * The process that listens on a TCP port, as `pid 4711 (node server.js)`. Undefined where the system does not tell:
 * outside Linux, or when the process belongs to another user.
 */
export async function portOwner(port: number): Promise<string | undefined> {
  const inodes = new Set([...(await inodesOn(port, '/proc/net/tcp')), ...(await inodesOn(port, '/proc/net/tcp6'))]);
  if (inodes.size === 0) return undefined;
  const pids = (await namesIn('/proc')).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    if (await hasSocket(pid, inodes)) return `pid ${pid} (${await commandLine(pid)})`;
  }
  return undefined;
}

/** The error for a server that cannot have its port. */
export async function portBusyError(port: number, host: string): Promise<FleetError> {
  const owner = await portOwner(port);
  return new FleetError('PORT_BUSY', `port ${port} on ${host} is taken${owner === undefined ? '' : ` by ${owner}`}`, {
    remedy: 'End that process, or choose another port: `--port 0` takes a free one.',
    details: { port, host, owner },
  });
}

async function inodesOn(port: number, table: string): Promise<string[]> {
  const text = await orUndefined(readFile(table, 'utf8'));
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  return (text ?? '')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(`:${hexPort}`) && fields[3] === LISTENING)
    .map((fields) => `socket:[${fields[9]}]`);
}

async function hasSocket(pid: string, inodes: ReadonlySet<string>): Promise<boolean> {
  const folder = `/proc/${pid}/fd`;
  for (const fd of await namesIn(folder)) {
    const target = await orUndefined(readlink(`${folder}/${fd}`));
    if (target !== undefined && inodes.has(target)) return true;
  }
  return false;
}

const MAX_COMMAND_LENGTH = 120;

async function commandLine(pid: string): Promise<string> {
  const text = (await orUndefined(readFile(`/proc/${pid}/cmdline`, 'utf8'))) ?? '';
  const words = text.split('\0').join(' ').trim();
  return words.length > MAX_COMMAND_LENGTH ? `${words.slice(0, MAX_COMMAND_LENGTH)}…` : words || 'unknown program';
}

const namesIn = async (folder: string): Promise<string[]> => (await orUndefined(readdir(folder))) ?? [];

/** Processes end, and those of other users are closed to us: what cannot be read has no say here. */
const orUndefined = <T>(reading: Promise<T>): Promise<T | undefined> => reading.catch(() => undefined);
