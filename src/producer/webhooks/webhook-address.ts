import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { FleetError, errorMessage } from '../../shared/errors.ts';

/** What may be called beside public addresses over https. */
export interface AddressPolicy {
  allowPrivate: boolean;
  /** Names, or names with a port, that may have any address. */
  allowHosts: readonly string[];
}

export interface Address {
  address: string;
  family: 4 | 6;
}
export type Resolve = (host: string) => Promise<readonly { address: string }[]>;

const PRIVATE_V4: readonly [string, number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
];
/** Of 2000::/3, the only part of IPv6 that is public: tunnels to IPv4, documentation, and what is for special use. */
const PRIVATE_V6: readonly [string, number][] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
];

const reserved = new BlockList();
for (const [net, bits] of PRIVATE_V4) reserved.addSubnet(net, bits, 'ipv4');
for (const [net, bits] of PRIVATE_V6) reserved.addSubnet(net, bits, 'ipv6');
const global = new BlockList();
global.addSubnet('2000::', 3, 'ipv6');

/** Whether an address is one of the public internet. */
export function isPublic(address: string): boolean {
  if (isIP(address) === 4) return !reserved.check(address, 'ipv4');
  return isIP(address) === 6 && global.check(address, 'ipv6') && !reserved.check(address, 'ipv6');
}

const resolveName: Resolve = (host) => lookup(host, { all: true, verbatim: true });

/**
 * The address to connect to, checked. Whoever connects must use it and not ask for the name again: the second answer
 * may be another one. A name that has any private address is refused, whichever would be taken.
 */
export async function checkedAddress(
  url: URL,
  policy: AddressPolicy,
  resolve: Resolve = resolveName,
): Promise<Address> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (url.username !== '' || url.password !== '') throw refused('its URL holds a name or password');
  const isAllowed = policy.allowPrivate || policy.allowHosts.some((one) => one === host || one === url.host);
  if (url.protocol !== 'https:' && !isAllowed) throw refused('it is not https');
  let found: readonly { address: string }[];
  try {
    found = isIP(host) === 0 ? await resolve(host) : [{ address: host }];
  } catch (err) {
    throw new FleetError('API_UNAVAILABLE', `no address is known of ${host}: ${errorMessage(err)}`, { retry: true });
  }
  const hidden = found.find(({ address }) => !isPublic(address));
  if (hidden !== undefined && !isAllowed) throw refused(`${host} has the private address ${hidden.address}`);
  const [first] = found;
  if (first === undefined) throw new FleetError('API_UNAVAILABLE', `no address is known of ${host}`, { retry: true });
  return { address: first.address, family: isIP(first.address) === 6 ? 6 : 4 };
}

const refused = (why: string): FleetError =>
  new FleetError('BAD_INPUT', `this webhook may not be called: ${why}`, {
    remedy:
      'Use a public https address; or allow the host with MAESTRO_WEBHOOK_ALLOW_HOSTS, or all with MAESTRO_WEBHOOK_ALLOW_PRIVATE=1.',
  });
