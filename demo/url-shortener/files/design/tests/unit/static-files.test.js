import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { startPreview } from '../../src/shared/preview-server.js';
import { splitTarget } from '../../src/shared/request-target.js';
import { locateFile } from '../../src/shared/static-files.js';

let folder = '';
let host;

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'page-'));
  await mkdir(path.join(folder, 'page'));
  await writeFile(path.join(folder, 'page', 'index.html'), '<h1>Links</h1>');
  await writeFile(path.join(folder, 'secret.js'), 'hidden');
  await writeFile(path.join(folder, 'rules.js'), 'export {};');
  host = await startPreview({ port: 0, mounts: mounts() });
});

after(async () => {
  await host.stop();
  await rm(folder, { recursive: true });
});

const mounts = () => [
  { prefix: '/shared/', folder, only: ['rules.js'] },
  { prefix: '/', folder: path.join(folder, 'page') },
];

test('the page is served at the root with security headers', async () => {
  const response = await fetch(`${host.url}/`);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'text/html; charset=utf-8');
  assert.match(response.headers.get('content-security-policy') ?? '', /default-src 'none'/);
  assert.equal(await response.text(), '<h1>Links</h1>');
});

test('HEAD answers the length without the content', async () => {
  const response = await fetch(`${host.url}/`, { method: 'HEAD' });
  assert.equal(response.headers.get('content-length'), '14');
  assert.equal(await response.text(), '');
});

test('a missing file and a method other than GET answer 404', async () => {
  assert.equal((await fetch(`${host.url}/missing.css`)).status, 404);
  assert.equal((await fetch(`${host.url}/`, { method: 'POST' })).status, 404);
});

test('only the listed files of a mount are served', () => {
  assert.equal(locateFile(mounts(), '/shared/rules.js')?.file, path.join(folder, 'rules.js'));
  assert.equal(locateFile(mounts(), '/shared/secret.js'), undefined);
});

test('no path leaves the mounted folder', () => {
  for (const pathname of ['/../secret.js', '/%2e%2e/secret.js', '/..%2fsecret.js', '/.hidden.js', '//secret.js', '/a\0.js']) {
    assert.equal(locateFile(mounts(), pathname), undefined, pathname);
  }
});

test('only known file types are served, and nothing without a mount', () => {
  assert.equal(locateFile(mounts(), '/index.json'), undefined);
  assert.equal(locateFile([], '/index.html'), undefined);
});

test('a read that fails for another reason ends the connection', async () => {
  await mkdir(path.join(folder, 'page', 'folder.js'));
  await assert.rejects(fetch(`${host.url}/folder.js`));
});

test('a request target is split at its first question mark, however odd it is', () => {
  assert.equal(splitTarget('//?a=1&b=?').pathname, '//');
  assert.equal(splitTarget('/x?a=1&b=?').query.get('b'), '?');
  assert.equal(splitTarget(undefined).pathname, '/');
});
