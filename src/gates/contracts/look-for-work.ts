import { findPersona } from '../../shared/persona-files.ts';
import type { Persona } from '../../shared/persona-schema.ts';
import type { PersonaWork } from '../../shared/round-evidence.ts';
import type { ReadDocument } from '../document-problems.ts';
import { lookAtDeliverable } from './deliverable-problems.ts';

/** Where the files of a phase come from. */
export interface Origins {
  /** Whether a file was changed since the phase began, in any of its rounds. */
  isOfPhase: (file: string) => boolean;
  /** The persona that last changed a file in this run; undefined for what the run was given. */
  authorOf: (file: string) => string | undefined;
}

export function originsOf(
  changed: readonly { file: string }[],
  /** As git's history tells it: empty for a change that names no persona. */
  lastPersonas: ReadonlyMap<string, string>,
): Origins {
  const files = new Set(changed.map(({ file }) => file));
  return { isOfPhase: (file) => files.has(file), authorOf: (file) => lastPersonas.get(file) || undefined };
}

/**
 * Looks for what the files of personas say they hand on. A persona that names nothing has nothing to be missing. What
 * all lay there before and is nobody's work of this phase is said to be as it was found.
 */
export async function lookForWork(
  root: string,
  personas: readonly string[],
  definitions: Readonly<Record<string, Persona>>,
  origins: Origins,
  read?: ReadDocument,
): Promise<PersonaWork> {
  const wanted = personas.flatMap((persona) => {
    const found = findPersona(definitions, persona);
    return Object.entries(found?.deliverables ?? {}).map(([deliverable, spec]) => ({
      persona,
      deliverable,
      spec,
      // What it is given to work on may be right as it is.
      isRevised: found?.needs.includes(deliverable) === true,
    }));
  });
  const deliverables = await Promise.all(
    wanted.map(async ({ persona, deliverable, spec, isRevised }) => {
      const { files, problems } = await lookAtDeliverable(root, spec, read);
      const isOwn = (file: string): boolean => origins.isOfPhase(file) || origins.authorOf(file) === persona;
      const isFound = files.length > 0 && !isRevised && !files.some(isOwn);
      const asFound = files.every((file) => origins.authorOf(file) === undefined) ? 'given' : 'left';
      const work = {
        persona,
        deliverable,
        paths: spec.paths,
        files: files.length,
        ...(isFound ? ({ asFound } as const) : {}),
      };
      return files.length === 0 || problems.length === 0 ? work : { ...work, problems };
    }),
  );
  return { personas: [...personas], deliverables };
}
