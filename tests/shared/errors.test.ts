import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { ERROR_EXITS } from '../../src/shared/errors.ts';
import { packagePath } from '../../src/shared/package-root.ts';

test('every error code is explained in docs/errors.md, with its exit code, and no other is', async () => {
  const text = await readFile(packagePath('docs', 'errors.md'), 'utf8');
  const explained = [...text.matchAll(/^## ([A-Z_]+)\nExit (\d)/gm)].map(([, code, exit]) => [code, Number(exit)]);
  const known = Object.entries(ERROR_EXITS).map(([code, exit]) => [code, exit]);
  expect(Object.fromEntries(explained)).toEqual(Object.fromEntries(known));
});
