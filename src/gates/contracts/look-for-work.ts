import { findPersona } from '../../shared/persona-files.ts';
import type { Persona } from '../../shared/persona-schema.ts';
import type { PersonaWork } from '../../shared/round-evidence.ts';
import { lookAtDeliverable } from './deliverable-problems.ts';

/** Looks for what the files of personas say they hand on. A persona that names nothing has nothing to be missing. */
export async function lookForWork(
  root: string,
  personas: readonly string[],
  definitions: Readonly<Record<string, Persona>>,
): Promise<PersonaWork> {
  const wanted = personas.flatMap((persona) =>
    Object.entries(findPersona(definitions, persona)?.deliverables ?? {}).map(([deliverable, spec]) => ({
      persona,
      deliverable,
      spec,
    })),
  );
  const deliverables = await Promise.all(
    wanted.map(async ({ persona, deliverable, spec }) => {
      const { files, problems } = await lookAtDeliverable(root, spec);
      const work = { persona, deliverable, paths: spec.paths, files: files.length };
      return files.length === 0 || problems.length === 0 ? work : { ...work, problems };
    }),
  );
  return { personas: [...personas], deliverables };
}
