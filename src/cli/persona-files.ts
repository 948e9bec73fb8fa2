import { readFile, stat } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import type { RunSources } from '../producer/definitions-builder.ts';
import { personaFileProblems } from '../producer/persona-check.ts';
import { InvalidInputError } from '../shared/errors.ts';
import { type PersonaFile, parsePersona, readPersonas } from '../shared/persona-files.ts';
import type { CommandContext } from './session.ts';

/** The persona files that a name stands for: one file, or a folder of them. Undefined for everything else. */
export async function personaFilesAt({ cwd }: CommandContext, name: string): Promise<PersonaFile[] | undefined> {
  const path = resolve(cwd, name);
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isDirectory() === true) return Object.values(await readPersonas([path]));
  if (stats?.isFile() !== true) return undefined;
  const text = await readFile(path, 'utf8');
  const isPersona = /^(?:role|prompt):/m.test(text) && !/^phases:/m.test(text);
  return isPersona ? [parsePersona({ file: shownPath(cwd, path), text })] : undefined;
}

const shownPath = (cwd: string, path: string): string => {
  const shown = relative(cwd, path);
  return shown.startsWith('..') ? path : shown;
};

/** Checks personas beside all others and the policies. Returns the files, or throws everything that is wrong. */
export function checkPersonas(files: readonly PersonaFile[], { personaFiles, policySet }: RunSources): string[] {
  const others = { ...personaFiles, ...Object.fromEntries(files.map((file) => [file.value.name, file])) };
  const artifacts = Object.keys(policySet.artifacts);
  const problems = files.flatMap((file) => personaFileProblems(file, others, artifacts));
  if (problems.length > 0) throw new InvalidInputError(problems[0]?.file ?? 'the personas', problems);
  return files.map(({ file }) => file);
}
