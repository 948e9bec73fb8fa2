import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { FleetError, errorMessage } from '../../shared/errors.ts';
import { isPublicAddress } from '../../shared/network/addresses.ts';

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
  const hidden = found.find(({ address }) => !isPublicAddress(address));
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
