import { BlockList, isIP, isIPv4 } from 'node:net';

/** Addresses that lead to this machine, to the network around it, or to nobody. */
const INTERNAL = new BlockList();
for (const [address, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  // Link-local, with the metadata services of the clouds.
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const)
  INTERNAL.addSubnet(address, bits, 'ipv4');
/** Of what is routed in IPv6, these are not: tunnels that carry IPv4 addresses, and documentation. */
for (const [address, bits] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const)
  INTERNAL.addSubnet(address, bits, 'ipv6');
const ROUTED = new BlockList();
ROUTED.addSubnet('2000::', 3, 'ipv6');

/** Whether an address is one of the public internet. Everything that is not known to be is not. */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !INTERNAL.check(address, 'ipv4');
  // With a zone it is bound to one interface of this machine. IPv4 in the clothes of IPv6 is not in 2000::/3.
  if (isIP(address) !== 6 || address.includes('%')) return false;
  return ROUTED.check(address, 'ipv6') && !INTERNAL.check(address, 'ipv6');
}
