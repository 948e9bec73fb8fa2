/**
 * Completes package-lock.json with optional packages of other platforms. npm leaves out those that the registry it
 * asked does not carry, and then `npm ci` refuses the lock file everywhere. Run it after an `npm install` that did so:
 *
 *   node scripts/complete-lock.mjs
 */
import { readFileSync, writeFileSync } from 'node:fs';

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
const packages = lock.packages;
let added = 0;
for (const [parent, { optionalDependencies, dev, engines }] of Object.entries(packages)) {
  for (const [name, version] of Object.entries(optionalDependencies ?? {})) {
    if (packages[`${parent}/node_modules/${name}`] ?? packages[`node_modules/${name}`]) continue;
    // Native bindings are named `@scope/binding-OS-CPU-ABI`, with an exact version.
    const [os, cpu, abi = ''] = name
      .replace(/^.*\//, '')
      .replace(/^binding-/, '')
      .split('-');
    const libc = abi.startsWith('gnu') ? ['glibc'] : abi.startsWith('musl') ? ['musl'] : undefined;
    packages[`node_modules/${name}`] = { version, cpu: [cpu], dev, libc, optional: true, os: [os], engines };
    added += 1;
  }
}
const sorted = Object.entries(packages).toSorted(([a], [b]) => a.localeCompare(b, 'en'));
lock.packages = Object.fromEntries(sorted);
writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`);
process.stdout.write(`${added} packages added\n`);
