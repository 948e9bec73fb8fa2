import { findPersona } from '../../shared/persona-files.ts';
import type { Persona } from '../../shared/persona-schema.ts';
import type { PersonaWork } from '../../shared/round-evidence.ts';
import { matchingFiles } from '../artifacts.ts';

/** Looks for what the files of personas say they hand on. A persona that names nothing has nothing to be missing. */
export async function lookForWork(
  root: string,
  personas: readonly string[],
  definitions: Readonly<Record<string, Persona>>,
): Promise<PersonaWork> {
  const wanted = personas.flatMap((persona) =>
    Object.entries(findPersona(definitions, persona)?.deliverables ?? {}).map(([deliverable, { paths }]) => ({
      persona,
      deliverable,
      paths,
    })),
  );
  const deliverables = await Promise.all(
    wanted.map(async (each) => ({ ...each, files: (await matchingFiles(root, each.paths)).length })),
  );
  return { personas: [...personas], deliverables };
}
