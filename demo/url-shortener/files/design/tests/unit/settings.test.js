import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readSettings } from '../../src/shared/settings.js';

test('settings have defaults for an empty environment', () => {
  assert.deepEqual(readSettings({}), { port: 8080, dataDir: 'data', publicUrl: undefined });
});

test('settings are read from the environment', () => {
  const env = { PORT: '0', DATA_DIR: '/srv/links', PUBLIC_URL: 'https://go.example.com/ignored' };
  assert.deepEqual(readSettings(env), { port: 0, dataDir: '/srv/links', publicUrl: 'https://go.example.com' });
});

test('a port that cannot work is refused with its value', () => {
  for (const port of ['eighty', '-1', '65536', '80.5']) assert.throws(() => readSettings({ PORT: port }), /PORT is/);
});

test('a public address that is no URL is refused', () => {
  assert.throws(() => readSettings({ PUBLIC_URL: 'go.example' }), /PUBLIC_URL is "go\.example"/);
});
