import { readFile, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { FleetError, InvalidInputError, type Problem, errorMessage } from './errors.ts';
import { Persona } from './persona-schema.ts';
import { type YamlFile, parseYaml } from './yaml-file.ts';

export type PersonaFile = YamlFile<Persona> & { file: string };

/** Personas by name, each with the file it stands in. */
export type PersonaFiles = Readonly<Record<string, PersonaFile>>;

/** Reads every persona file of a folder. All problems of all files are reported together. */
export async function loadPersonas(folder: string): Promise<Record<string, Persona>> {
  return personasIn(await readPersonas([folder]));
}

/** The personas without their files. */
export const personasIn = (files: PersonaFiles): Record<string, Persona> =>
  Object.fromEntries(Object.values(files).map(({ value }) => [value.name, value]));

/**
 * Reads every persona file of some folders. One of a later folder takes the place of one of the same name in an earlier
 * folder. All problems of all files are reported together.
 */
export async function readPersonas(folders: readonly string[]): Promise<PersonaFiles> {
  const problems: Problem[] = [];
  const files: Record<string, PersonaFile> = {};
  for (const folder of folders) {
    const read = await readFolder(folder);
    problems.push(...read.problems, ...nameProblems(read.files));
    for (const file of read.files) files[file.value.name] = file;
  }
  if (problems.length === 0) problems.push(...nameProblems(Object.values(files)));
  if (problems.length > 0) throw new InvalidInputError(folders.join(' with '), problems);
  return files;
}

/** Reads one persona file, with what is wrong in it. */
export function parsePersona(source: { file: string; text: string }): PersonaFile {
  return { file: source.file, ...parseYaml(Persona, source) };
}

async function readFolder(folder: string): Promise<{ files: PersonaFile[]; problems: Problem[] }> {
  const names = await personaFileNames(folder);
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  const problems: Problem[] = [];
  const files: PersonaFile[] = [];
  names.forEach((name, index) => {
    const file = join(folder, name);
    try {
      files.push(parsePersona({ file, text: texts[index] ?? '' }));
    } catch (err) {
      if (!(err instanceof InvalidInputError)) throw err;
      problems.push(...err.problems);
    }
  });
  return { files, problems };
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
