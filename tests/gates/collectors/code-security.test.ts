import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { measure, project } from './code-support.ts';

// Put together here, so that no scanner takes this file for a leak.
const AWS = ['AKIA', 'ZZZZQQQQRRRRTTTT'].join('');
const GITHUB = ['ghp_', 'a1B2'.repeat(9)].join('');

describe('the security collector', () => {
  test('scans the whole project and passes a clean one', async () => {
    const run = await measure('security', await project());
    expect(run.values).toEqual({
      security_vulnerabilities: { value: 0, examined: 21 },
      security_scan_complete: { value: 1, examined: 3 },
      security_testing_complete: { value: 1, examined: 1 },
    });
    expect(run.evidence.map(({ summary }) => summary)).toContain(
      'package.json and the lock file declare no dependency: 0 of 0 are vulnerable',
    );
  });

  test.each([
    ['an AWS key id in a text file', 'notes.txt', `key ${AWS}\n`, 1],
    ['a GitHub token in the source', 'src/shared/keys.js', `export const one = 1;\n// ${GITHUB}\n`, 2],
    ['a secret behind a disable comment', 'config.yaml', `# secretlint-disable\nkey: ${AWS}\n`, 2],
  ])('counts %s and does not repeat it', async (_name, file, text, line) => {
    const run = await measure('security', await project({ [file]: text, '.secretlintignore': '*\n' }));
    expect(run.read('security_vulnerabilities')).toBe(1);
    expect(run.findings.filter(({ severity }) => severity === 'error')).toMatchObject([{ file, line }]);
    const report = await readFile(join(run.outDir, 'scan.json'), 'utf8');
    expect(report + JSON.stringify(run.findings)).not.toMatch(/AKIAZ|ghp_a1/);
  });

  const flaws: [string, string][] = [
    ['eval', 'export const run = (text) => eval(text);'],
    ['new Function', 'export const run = (text) => new Function(text)();'],
    [
      'a shell command from data',
      "import { exec } from 'node:child_process';\nexport const run = (name) => exec(`ls ${name}`);",
    ],
    [
      'spawn with a shell',
      "import { spawn } from 'node:child_process';\nexport const run = (name) => spawn('ls', [name], { shell: true });",
    ],
    [
      'SQL from a template',
      'export const find = (db, id) => db.prepare(`SELECT * FROM items WHERE id = ${id}`).all();',
    ],
    ['SQL from pieces', "export const find = (db, id) => db.exec('DELETE FROM items WHERE id = ' + id);"],
    ['innerHTML from data', 'export const show = (place, text) => { place.innerHTML = `<b>${text}</b>`; };'],
    ['insertAdjacentHTML', "export const show = (place, text) => place.insertAdjacentHTML('beforeend', text);"],
    ['weak randomness for a token', 'export const makeToken = () => Math.random().toString(36).slice(2);'],
    [
      'a file path from the request',
      "import { readFileSync } from 'node:fs';\nexport const serve = (req) => readFileSync('public' + req.url);",
    ],
    [
      'a joined path from the request',
      "import { join } from 'node:path';\nexport const serve = (request) => join('public', request.params.name);",
    ],
    ['certificates unchecked', 'export const options = { rejectUnauthorized: false };'],
    [
      'MD5 for a password',
      "import { createHash } from 'node:crypto';\nexport const hash = (password) => createHash('md5').update(password).digest('hex');",
    ],
    ['a password in the code', "export const login = { user: 'admin', password: 'Tr0ub4dor&3xyz' };"],
  ];
  test('counts each static flaw, in code outside src as well', async () => {
    const files = flaws.map(([, text], at): [string, string] => [
      at % 2 === 0 ? `src/shared/flaw-${at}.js` : `scripts/flaw-${at}.js`,
      `${text}\n`,
    ]);
    const run = await measure('security', await project(Object.fromEntries(files)));
    const found = new Set(run.findings.filter(({ severity }) => severity === 'error').map(({ file }) => file));
    const missed = flaws.filter((_flaw, at) => !found.has(files[at]?.[0])).map(([name]) => name);
    expect(missed).toEqual([]);
    expect(run.read('security_vulnerabilities')).toBeGreaterThanOrEqual(flaws.length);
  });

  test('does not count what only looks like a flaw', async () => {
    const harmless = `
      import { execFile } from 'node:child_process';
      import { randomBytes } from 'node:crypto';
      const pattern = /a(b)/;
      export const makeToken = () => randomBytes(16).toString('hex');
      export const jitter = () => Math.random() * 10;
      export const run = (name) => execFile('ls', [name]);
      export const match = (text) => pattern.exec(\`x\${text}\`);
      export const find = (db, id) => db.prepare('SELECT * FROM items WHERE id = ?').all(id);
      export const label = (id) => \`Select one from \${id} items\`;
      export const show = (place, text) => { place.textContent = text; place.innerHTML = ''; };
      export const base = (port) => \`http://127.0.0.1:\${port}\`;
    `;
    const run = await measure('security', await project({ 'src/shared/harmless.js': harmless }));
    expect(run.findings).toEqual([]);
    expect(run.read('security_vulnerabilities')).toBe(0);
  });

  test('an eslint-disable comment hides no flaw', async () => {
    const run = await measure(
      'security',
      await project({ 'src/shared/a.js': '/* eslint-disable */\nexport const run = (text) => eval(text);\n' }),
    );
    expect(run.read('security_vulnerabilities')).toBeGreaterThanOrEqual(1);
    expect(run.findings.map(({ rule }) => rule)).toContain('tamper/eslint-disable');
  });

  test('a security test that fails is not complete', async () => {
    const root = await project({
      'tests/security/codes.test.js':
        "import assert from 'node:assert/strict';\nimport { test } from 'node:test';\ntest('security: a', () => {});\ntest('security: b', () => { assert.fail('open'); });\n",
    });
    const run = await measure('security', root);
    expect(run.of('security_testing_complete')).toEqual({ value: 0, examined: 2 });
  });

  // Put together here, so that this file holds none.
  const pem = (body: string, end: string): string =>
    ['-----BEGIN PRIVATE', `KEY-----${end}${body}${end}-----END PRIVATE`, 'KEY-----'].join(' ');
  const ED25519 = `MC4CAQAwBQYDK2VwBCIEI${'Nq7'.repeat(14)}`;
  test.each([
    ['of few characters', `export const key = \`${pem(ED25519, '\n')}\`;`],
    ['on one line of code', `export const key = "${pem(ED25519, '\\n')}";`],
    ['joined from lines of code', `export const key = '${pem(`' +\n  '${ED25519}' +\n  '`, '\\n')}';`],
  ])('counts a private key %s', async (_name, code) => {
    const run = await measure(
      'security',
      await project({ 'src/shared/key.js': `const first = 1;\n${code}\nexport const last = first;\n` }),
    );
    expect(run.findings.map(({ rule, line }) => [rule, line])).toContainEqual(['secretlint/privatekey/PrivateKey', 2]);
    expect(run.read('security_vulnerabilities')).toBe(1);
  });

  test('a placeholder for a private key is none', async () => {
    const code = `export const example = "${pem('put the key of your service here', '\\n')}";\n`;
    const run = await measure('security', await project({ 'src/shared/key.js': code }));
    expect(run.read('security_vulnerabilities')).toBe(0);
  });

  test('security tests that assert nothing establish nothing', async () => {
    const root = await project({
      'tests/security/codes.test.js': "import { test } from 'node:test';\ntest('security: a', () => {});\n",
    });
    const run = await measure('security', root);
    expect(run.read('security_testing_complete')).toMatch(/codes\.test\.js asserts nothing/);
    expect(run.findings).toMatchObject([{ rule: 'tests/asserts-nothing', file: 'tests/security/codes.test.js' }]);
  });
});

describe('security that was not scanned is not evaluable', () => {
  const manifest = (fields: object): string => JSON.stringify({ name: 'x', type: 'module', ...fields });
  const cases: [string, Record<string, string | null>, RegExp][] = [
    [
      'a declared dependency without advisory data',
      { 'package.json': manifest({ dependencies: { express: '5.0.0' } }) },
      /no advisory data/,
    ],
    [
      'a development dependency without advisory data',
      { 'package.json': manifest({ devDependencies: { vite: '7.0.0' } }) },
      /no advisory data/,
    ],
    [
      'a locked package that the manifest does not name',
      {
        'package-lock.json': JSON.stringify({
          lockfileVersion: 3,
          packages: { '': {}, 'node_modules/express': { version: '5.0.0' } },
        }),
      },
      /locks 1 packages/,
    ],
    ['a lock file that does not parse', { 'package-lock.json': '{' }, /cannot be read/],
    ['a lock file of another tool', { 'yarn.lock': '# yarn\n' }, /only npm's/],
    [
      'a second manifest',
      { 'src/backend/package.json': manifest({ dependencies: { express: '5.0.0' } }) },
      /second manifest/,
    ],
    ['a file that does not parse', { 'src/shared/wrong.js': 'export const = 1;\n' }, /cannot be parsed/],
  ];
  test.each(cases)('%s', async (_name, changes, reason) => {
    const run = await measure('security', await project(changes));
    expect(run.read('security_vulnerabilities')).toMatch(reason);
    expect(run.read('security_scan_complete')).toMatch(reason);
  });

  test('no security test', async () => {
    const run = await measure('security', await project({ 'tests/security': null }));
    expect(run.read('security_testing_complete')).toMatch(/no security test/);
    expect(run.read('security_scan_complete')).toBe(1);
  });

  test('an empty lock file agrees with a manifest without dependencies', async () => {
    const lock = JSON.stringify({ lockfileVersion: 3, packages: { '': { name: 'x' } } });
    expect(
      (await measure('security', await project({ 'package-lock.json': lock }))).read('security_scan_complete'),
    ).toBe(1);
  });
});
