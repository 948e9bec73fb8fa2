import type { Edits } from './self-test.ts';

const MANIFEST = 'package.json';

/** A rule-breaking key id, in pieces, so that no scan of this package takes it for a real one. */
const KEY_ID = ['AKIA', 'ZZZZQQQQRRRRTTTT'].join('');

const branches = Array.from({ length: 12 }, (_, index) => `  if (kind === ${index}) return ${index} * 2;`).join('\n');
const mistakes = '  debugger;\n'.repeat(8);
const copied = Array.from({ length: 14 }, (_, index) => `  total = total + kind * ${index} - count;`).join('\n');

/** Code that is wrong in every way that a scan can see: secret, eval, stubs, copies, branches, no comment, no test. */
const BAD_CODE = `export const KEY_ID = '${KEY_ID}';

export function run(text) {
  return eval(text);
}

export function later() {
  throw new Error('not implemented');
}

export function empty() {}

export function careless() {
${mistakes}
}

export function branchy(kind) {
${branches}
  return 0;
}

export function first(kind, count) {
  let total = 0;
${copied}
  return total;
}

export function second(kind, count) {
  let total = 0;
${copied}
  return total;
}
`;

const FEW_TESTS = `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAddress } from '../../src/backend/links.js';

test('passes', () => assert.equal(isAddress('https://example.com'), true));
test('fails', () => assert.equal(isAddress('https://example.com'), false));
test.skip('is skipped', () => assert.ok(true));
`;

/** One project for every scan of code, so that tools that several collectors share run on it once. */
export const ROTTEN: Edits = {
  'src/backend/bad.js': BAD_CODE,
  'src/frontend/app.js': `export const words = '${'lorem ipsum '.repeat(4000)}';\n`,
  'tests/unit/links.test.js': FEW_TESTS,
  'tests/unit/server.test.js': null,
  'tests/acceptance/links.test.js': null,
  'tests/regression/bug-1.test.js': null,
  'tests/security/links.test.js': `import assert from 'node:assert/strict';
import { test } from 'node:test';

test.skip('security: nothing is checked', () => assert.ok(true));
test('security: what is checked fails', () => assert.ok(false));
`,
};

/** A declared package of which nothing is known, because no network is asked. */
export const DEPENDENT: Edits = {
  [MANIFEST]: [['"private": true,', '"private": true,\n  "dependencies": { "left-pad": "1.3.0" },']],
};

export const UNBUILDABLE: Edits = {
  'scripts/build.js': 'process.exit(1);\n',
  'src/backend/links.js': [['this.#made += 1;', 'this.#made = "one";']],
};

export const BUILDS_NOTHING: Edits = { 'scripts/build.js': 'export {};\n' };

export const CUT_OFF_TESTS: Edits = { 'tests/unit/links.test.js': `${FEW_TESTS}\nprocess.exit(0);\n` };

export const UNGUARDED: Edits = {
  'tests/regression/bug-1.test.js': [["test('BUG-1", "test.skip('BUG-1"]],
  'tests/acceptance/links.test.js': [["links.find(links.add('https://example.com')),", "'another address',"]],
};

export const UNPARSABLE: Edits = { 'src/backend/links.js': 'export const = ;\n' };
