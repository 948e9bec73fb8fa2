import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { errorMessage } from '../errors.ts';
import { isPublicAddress } from './addresses.ts';
import { type Egress, joinHostPort } from './allow-list.ts';

/** Why a place is not reached: in words for whoever asked. */
export class Refusal extends Error {}

/**
 * The address to connect to for a place that is on the list. Names are resolved here and only when they are on the
 * list; the address found is the one connected to, so a name cannot mean another one a moment later.
 */
export async function allowedAddress(egress: Egress, host: string, port: number): Promise<string> {
  const place = joinHostPort(host.toLowerCase(), port);
  if (!egress.hosts.includes(place)) throw new Refusal(`${place} is not among the hosts that are allowed`);
  const found = isIP(host) === 0 ? await resolve(host) : [host];
  const inner = found.filter(
    (address) => !isPublicAddress(address) && !egress.operator.includes(joinHostPort(address, port)),
  );
  // One inner address among public ones is no accident that is worth going on with.
  if (inner.length > 0) throw new Refusal(`${place} leads to ${inner.join(', ')}, which is no public address`);
  const [first] = found;
  if (first === undefined) throw new Refusal(`${host} has no address`);
  return first;
}

async function resolve(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (err) {
    throw new Refusal(`${host} cannot be resolved: ${errorMessage(err)}`, { cause: err });
  }
}
