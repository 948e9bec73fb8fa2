import { expect, test } from 'vitest';
import { z } from 'zod';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { cleanEnv, run } from './maestro.ts';

const redis = testRedis();
async function maestro(...args: string[]) {
  const home = await tempFolder();
  return run(args, cleanEnv({ MAESTRO_HOME: home, REDIS_URL: redis.url, MAESTRO_PREFIX: redis.prefix }), home);
}

test('tokens are made, shown once, listed and revoked, and all of that is in the audit log', async () => {
  const made = await maestro(
    'token',
    'create',
    '--name',
    'ci',
    '--scope',
    'run',
    '--scope',
    'read',
    '--expires',
    '30d',
  );
  expect([made.exit, made.stdout.trim()]).toEqual([0, expect.stringMatching(/^mf_[\w-]{43}$/)]);
  const list = await maestro('token', 'list', '--json');
  expect(JSON.parse(list.stdout)).toMatchObject({
    tokens: [{ name: 'ci', status: 'active', scopes: ['run', 'read'] }],
  });
  expect(list.stdout).not.toContain(made.stdout.trim());
  expect((await maestro('token', 'create', '--name', 'ci', '--scope', 'read')).exit).toBe(2);
  expect((await maestro('token', 'revoke', 'ci')).exit).toBe(0);
  const audit = await maestro('audit', '--json');
  const { entries } = z.object({ entries: z.array(z.looseObject({})) }).parse(JSON.parse(audit.stdout));
  expect(entries).toMatchObject([
    { action: 'token.revoke', outcome: 'done', who: 'cli', target: { token: 'ci' } },
    { action: 'token.create', outcome: 'refused' },
    { action: 'token.create', outcome: 'done', target: { token: 'ci', scopes: 'run read' } },
  ]);
}, 60_000);

test.each([
  [['token', 'create', '--name', 'x', '--scope', 'write'], '"write" is not a scope'],
  [['token', 'create', '--name', 'x'], 'a token needs a scope'],
  [['token', 'create', '--name', 'No Name', '--scope', 'read'], '--name No Name'],
  [['token', 'create', '--name', 'x', '--scope', 'read', '--expires', 'soon'], '--expires soon is no time'],
  [['token', 'revoke', 'nobody'], 'there is no token named "nobody"'],
  [['token', 'reset'], 'Say --yes'],
])(
  'maestro %j ends with 2 and one readable line',
  async (args, words) => {
    const { exit, stderr } = await maestro(...args);
    expect([exit, stderr.trim().split('\n').length]).toEqual([2, 1]);
    expect(stderr).toContain(words);
  },
  60_000,
);
