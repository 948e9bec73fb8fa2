import { expect, test } from 'vitest';
import { redactUrl } from '../../src/shared/redis.ts';

test.each([
  ['redis://127.0.0.1:6379/2', 'redis://127.0.0.1:6379/2'],
  ['redis://user:secret@h:6379', 'redis://***@h:6379'],
  ['redis://:p@ss@h:6379?password=x', 'redis://***@h:6379'],
  ['redis://:p/a@ss@h:6379/1', 'redis://***@h:6379/1'],
  ['rediss://h:6379/1?password=secret#secret', 'rediss://h:6379/1'],
  ['redis://h:6379?password=sec@ret', 'redis://***'],
  ['redis://:p?ss@h:6379', 'redis://***'],
  ['user:secret@h:6379', '***@h:6379'],
])('nothing secret of %s is shown', (url, shown) => {
  expect(redactUrl(url)).toBe(shown);
});
