import { readFile, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { FleetError, InvalidInputError, type Problem, errorMessage } from './errors.ts';
import { Persona } from './persona-schema.ts';
import { parseYaml } from './yaml-file.ts';

type PersonaFile = ReturnType<typeof parseYaml<typeof Persona>> & { file: string };

/** Reads every persona file of a folder. All problems of all files are reported together. */
export async function loadPersonas(folder: string): Promise<Record<string, Persona>> {
  const names = await personaFileNames(folder);
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  const problems: Problem[] = [];
  const files: PersonaFile[] = [];
  names.forEach((name, index) => {
    const file = join(folder, name);
    try {
      files.push({ file, ...parseYaml(Persona, { file, text: texts[index] ?? '' }) });
    } catch (err) {
      if (!(err instanceof InvalidInputError)) throw err;
      problems.push(...err.problems);
    }
  });
  problems.push(...nameProblems(files));
  if (problems.length > 0) throw new InvalidInputError(folder, problems);
  return Object.fromEntries(files.map(({ value }) => [value.name, value]));
}

/** The persona of this name or alias. */
export const findPersona = (personas: Readonly<Record<string, Persona>>, name: string): Persona | undefined =>
  Object.hasOwn(personas, name)
    ? personas[name]
    : Object.values(personas).find((persona) => persona.aliases.includes(name));

/** Every name and alias a persona can be called by. */
export const personaNames = (personas: Readonly<Record<string, Persona>>): string[] =>
  Object.values(personas).flatMap((persona) => [persona.name, ...persona.aliases]);

async function personaFileNames(folder: string): Promise<string[]> {
  let names: string[];
  try {
    names = (await readdir(folder)).filter((name) => /\.ya?ml$/.test(name)).toSorted();
  } catch (err) {
    throw new FleetError('NOT_FOUND', `the personas folder ${folder} cannot be read: ${errorMessage(err)}`, {
      cause: err,
      remedy: 'Name a folder that holds persona files.',
    });
  }
  if (names.length === 0)
    throw new FleetError('NOT_FOUND', `${folder} holds no persona file`, {
      remedy: 'A persona is a file NAME.yaml in this folder.',
    });
  return names;
}

/** A name or alias belongs to one persona only, and a persona is found under its own name. */
function nameProblems(files: readonly PersonaFile[]): Problem[] {
  const problems: Problem[] = [];
  const owners = new Map<string, string>();
  for (const { file, value, positionOf } of files) {
    const expected = basename(file).replace(/\.ya?ml$/, '');
    if (value.name !== expected)
      problems.push({
        ...positionOf(['name']),
        message: `name: "${value.name}" must equal the file's name, "${expected}"`,
      });
    const claims = [
      { name: value.name, path: ['name'] },
      ...value.aliases.map((name, index) => ({ name, path: ['aliases', index] })),
    ];
    for (const claim of claims) {
      const owner = owners.get(claim.name);
      if (owner !== undefined)
        problems.push({ ...positionOf(claim.path), message: `"${claim.name}" is already a name of ${owner}` });
      else owners.set(claim.name, value.name);
    }
  }
  return problems;
}
