import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { lookAtDeliverable } from '../../src/gates/contracts/deliverable-problems.ts';
import { Deliverable } from '../../src/shared/persona-schema.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** What is wrong with the files that `a*.md` matches. */
async function problemsOf(contains: object, files: Readonly<Record<string, string>>): Promise<string[]> {
  const root = await tempFolder();
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), text);
  }
  const { problems } = await lookAtDeliverable(root, Deliverable.parse({ paths: ['a*.md'], contains }));
  return problems;
}
const GOOD = '# Problem\n\nLong links break in mails.\n\n# Goals\n\nLinks that can be typed by hand.\n';
const items = (min: number) => ({ lines: [{ what: 'items', matching: '^- ', min }] });

describe('what a deliverable must hold', () => {
  test('is read from its files', async () => {
    const sections = ['Problem', 'Goals'];
    expect(await problemsOf({ sections }, { 'a.md': GOOD })).toEqual([]);
    expect(await problemsOf({ sections }, { 'a.md': '# Problem\n\nTODO\n' })).toEqual([
      'a.md:1 nothing is written under "Problem"',
      'a.md has no heading "Goals"',
    ]);
    expect(await problemsOf({ fenced: 'mermaid' }, { 'a.md': 'graph TD\n' })).toEqual(['a.md has no block ```mermaid']);
    expect(await problemsOf({ minBytes: 10 }, { 'a.md': 'short' })).toEqual(['a.md has 5 bytes, at least 10 needed']);
  });

  test('counts lines over all its files, up to the very number', async () => {
    const two = { 'a1.md': '- one\n', 'a2.md': 'text\n- two\n' };
    expect(await problemsOf(items(2), two)).toEqual([]);
    expect(await problemsOf(items(3), two)).toEqual(['2 files: 2 items, at least 3 needed']);
  });

  test('is not there at all when nothing matches, or too little', async () => {
    expect(await problemsOf({}, { 'b.md': 'x' })).toEqual(['no file a*.md']);
    expect(await problemsOf({ files: 2 }, { 'a.md': 'x' })).toEqual(['1 files match a*.md, at least 2 needed']);
  });

  test('is not looked for behind a link', async () => {
    const root = await tempFolder();
    const outside = join(await tempFolder(), 'secret.md');
    await writeFile(outside, '- one\n');
    await symlink(outside, join(root, 'a.md'));
    const seen = await lookAtDeliverable(root, Deliverable.parse({ paths: ['a*.md'], contains: items(1) }));
    expect(seen).toEqual({ files: [], problems: ['no file a*.md'] });
  });

  test('is matched in time that grows with the text alone, whatever the pattern and the text', async () => {
    const hostile = { lines: [{ what: 'x', matching: '^(a+)+$' }] };
    const started = performance.now();
    expect(await problemsOf(hostile, { 'a.md': `${'a'.repeat(5_000)}!\n`.repeat(50) })).toHaveLength(1);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  test('says when a file was too long to be read', async () => {
    expect(await problemsOf(items(1), { 'a.md': 'x'.repeat(1024 ** 2 + 1) })).toEqual([
      'a.md: 0 items, at least 1 needed; 1 of more than 1048576 bytes not read',
    ]);
  });
});
