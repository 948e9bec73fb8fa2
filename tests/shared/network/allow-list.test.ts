import { expect, test } from 'vitest';
import { isPublicAddress } from '../../../src/shared/network/addresses.ts';
import { HostPort, egressOf } from '../../../src/shared/network/allow-list.ts';
import { allowedAddress } from '../../../src/shared/network/allowed-address.ts';

test.each([
  '127.0.0.1',
  '127.9.9.9',
  '0.0.0.0',
  '10.1.2.3',
  '100.64.0.1',
  '169.254.169.254',
  '172.31.255.255',
  '192.168.0.1',
  '198.18.0.1',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::ffff:127.0.0.1',
  '::ffff:8.8.8.8',
  '::127.0.0.1',
  '64:ff9b::7f00:1',
  'fe80::1',
  'fe80::1%eth0',
  'fc00::1',
  'fd00:ec2::254',
  'ff02::1',
  '2002:7f00:1::',
  '2001:0:1::',
  '2001:db8::1',
  '2606:4700::1111%lo',
  'localhost',
  '2130706433',
])('%s is no public address', (address) => expect(isPublicAddress(address)).toBe(false));

test.each(['8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700:4700::1111'])('%s is a public address', (address) =>
  expect(isPublicAddress(address)).toBe(true),
);

test.each([
  'example.org',
  'example.org:0',
  'example.org:70000',
  'http://example.org:80',
  'user@example.org:443',
  '*.example.org:443',
  '0x7f.1:80',
  '2130706433:80',
  '127.1:80',
  'a b:80',
  '::1:80',
  'exa_mple.org:80',
])('%j is no place for a list', (text) => expect(HostPort.safeParse(text).success).toBe(false));

test('places are written one way', () => {
  expect(HostPort.parse(' Registry.Example.ORG:443 ')).toBe('registry.example.org:443');
  expect(HostPort.parse('[::1]:8080')).toBe('[::1]:8080');
});

test('a persona reaches what its file and the operator both name, and learns at once what is missing', () => {
  expect(egressOf([], ['a.example:443'], 'it')).toBeUndefined();
  expect(egressOf(['a.example:443'], ['a.example:443', 'b.example:443'], 'it')?.hosts).toEqual(['a.example:443']);
  expect(() => egressOf(['a.example:443', 'c.example:443'], ['a.example:443'], 'the persona x')).toThrow(
    'the persona x needs c.example:443, which this worker does not allow',
  );
});

test('a listed name that leads to this machine is refused, unless the operator names the address', async () => {
  const hosts = ['localhost:8080'];
  await expect(allowedAddress({ hosts, operator: hosts }, 'localhost', 8080)).rejects.toThrow('no public address');
  const operator = [...hosts, '127.0.0.1:8080', '[::1]:8080'];
  expect(await allowedAddress({ hosts, operator }, 'LOCALHOST', 8080)).toMatch(/^(127\.0\.0\.1|::1)$/);
  await expect(allowedAddress({ hosts, operator }, 'localhost', 8081)).rejects.toThrow('not among the hosts');
});
