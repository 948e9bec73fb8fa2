import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Definitions } from '../../src/shared/definitions.ts';
import { Persona, StoredPersona, ToolName } from '../../src/shared/persona-schema.ts';
import { packagePath } from '../../src/shared/package-root.ts';
import { findPersona, loadPersonas } from '../../src/shared/persona-files.ts';
import { undocumentedKeys } from '../support/documented-keys.ts';

const made: string[] = [];
afterAll(async () => {
  for (const folder of made) await rm(folder, { recursive: true, force: true });
});

async function folderOf(files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'maestro-personas-'));
  made.push(folder);
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}
const persona = (name: string, aliases = ''): string =>
  `apiVersion: maestro/v1\nname: ${name}\naliases: [${aliases}]\nrole: r\ntools: []\nprompt: ${'p'.repeat(40)}\n`;

describe('persona files', () => {
  it('are found under their names and aliases', async () => {
    const personas = await loadPersonas(await folderOf({ 'a.yaml': persona('a', 'x'), 'b.yaml': persona('b') }));
    expect(Object.keys(personas)).toEqual(['a', 'b']);
    expect(findPersona(personas, 'x')?.name).toBe('a');
    expect(findPersona(personas, 'toString')).toBeUndefined();
  });

  it('are refused together, with every problem and its place', async () => {
    const folder = await folderOf({
      'a.yaml': persona('a', 'b, x'),
      'b.yaml': persona('b', 'x'),
      'c.yaml': persona('d'),
      'e.yaml': 'name: e\n',
    });
    const err: unknown = await loadPersonas(folder).catch((reason: unknown) => reason);
    const message = err instanceof Error ? err.message.replaceAll(folder, '') : '';
    expect(message).toMatch(/\/b\.yaml:2:7: "b" is already a name of a/);
    expect(message).toMatch(/\/b\.yaml:3:11: "x" is already a name of a/);
    expect(message).toMatch(/\/c\.yaml:2:7: name: "d" must equal the file's name, "c"/);
    expect(message).toMatch(/\/e\.yaml:1:1: apiVersion/);
  });

  it('are missing loudly', async () => {
    await expect(loadPersonas(await folderOf({}))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(loadPersonas('/does/not/exist')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

it('a persona that a run has kept is read as it was, although its file would be refused today', () => {
  const kept = {
    apiVersion: 'maestro/v1',
    name: 'reader',
    role: 'Reads',
    kind: 'reviewer',
    tools: ['shell'],
    prompt: 'You read what others wrote, and judge it with care.',
  };
  expect(Persona.safeParse(kept).success).toBe(false);
  expect(StoredPersona.parse(kept)).toMatchObject({ tools: ['shell'] });
  expect(Definitions.shape.personas.safeParse({ reader: kept }).success).toBe(true);
});

describe('docs/personas.md', async () => {
  const page = await readFile(packagePath('docs', 'personas.md'), 'utf8');

  it('names every key of a persona file, at any depth, and every tool', () => {
    expect(undocumentedKeys(page, Persona)).toEqual([]);
    expect(ToolName.options.filter((tool) => !page.includes(`\`${tool}\``))).toEqual([]);
  });
});
