import { isIP } from 'node:net';
import { z } from 'zod';
import { FleetError } from '../errors.ts';

const NAME = /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** A last part of digits would be read as an IPv4 address in one of its odd spellings. */
const isHost = (host: string): boolean =>
  isIP(host) !== 0 || (NAME.test(host) && !/(^|\.)(0x[0-9a-f]*|\d+)$/.test(host));

/** One place that may be reached: `host:port`, with an IPv6 address in brackets. */
export const HostPort = z
  .string()
  .trim()
  .toLowerCase()
  .refine((text) => {
    const { host, port } = splitHostPort(text) ?? {};
    return host !== undefined && port !== undefined && isHost(host);
  }, 'write it as host:port, e.g. registry.example.org:443');
export type HostPort = z.infer<typeof HostPort>;

/** Host without brackets, and port; undefined when it is not of that form. */
export function splitHostPort(text: string): { host: string; port: number } | undefined {
  const found = /^(?:\[([0-9a-f:.]+)\]|([^:[\]/@\s]+)):(\d{1,5})$/i.exec(text);
  const host = (found?.[1] ?? found?.[2])?.toLowerCase();
  const port = Number(found?.[3]);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}

export const joinHostPort = (host: string, port: number): string =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`;

/** What one command may reach. */
export interface Egress {
  /** Named by the persona and by the operator. */
  hosts: readonly HostPort[];
  /** What the operator names: an address of this machine or of the network around it is reached only when it is in here. */
  operator: readonly HostPort[];
}

/** What a persona may reach: what its file names, when the operator names it too. Throws when the operator does not. */
export function egressOf(wanted: readonly HostPort[], operator: readonly HostPort[], who: string): Egress | undefined {
  const refused = wanted.filter((host) => !operator.includes(host));
  if (refused.length > 0)
    throw new FleetError(
      'NETWORK_NOT_ALLOWED',
      `${who} needs ${refused.join(', ')}, which this worker does not allow`,
      {
        remedy: 'Add it to MAESTRO_NETWORK_ALLOW of the workers, or take it out of the persona.',
      },
    );
  return wanted.length === 0 ? undefined : { hosts: wanted, operator };
}
