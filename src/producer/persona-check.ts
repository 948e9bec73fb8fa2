import type { Problem } from '../shared/errors.ts';
import type { PersonaFile, PersonaFiles } from '../shared/persona-files.ts';
import { nearestHint } from '../shared/yaml-file.ts';

/** Every deliverable has a name that the policies' catalogue of artifacts knows, so that gates and personas mean the same. */
export const deliverableProblems = ({ value, positionOf }: PersonaFile, artifacts: readonly string[]): Problem[] =>
  Object.keys(value.deliverables).flatMap((name) =>
    artifacts.includes(name)
      ? []
      : [
          {
            ...positionOf(['deliverables', name], 'key'),
            message: `deliverables.${name}: the policies' catalogue of artifacts has no "${name}"${nearestHint(name, artifacts)}`,
          },
        ],
  );

/**
 * What is wrong with a persona by itself, beside others and policies. Needs that are no artifact may be inputs of a
 * workflow, which only a workflow can tell; one that is nearly the name of an artifact is taken for a slip of the pen.
 */
export function personaFileProblems(file: PersonaFile, others: PersonaFiles, artifacts: readonly string[]): Problem[] {
  const { value, positionOf } = file;
  const made = new Set(Object.values(others).flatMap((other) => Object.keys(other.value.deliverables)));
  const known = [...new Set([...artifacts, ...made])];
  return [
    ...deliverableProblems(file, artifacts),
    ...value.needs.flatMap((need, index) => {
      if (made.has(need)) return [];
      const hint = artifacts.includes(need) ? '' : nearestHint(need, known);
      return hint === '' && !artifacts.includes(need)
        ? []
        : [{ ...positionOf(['needs', index]), message: `needs: no persona makes "${need}"${hint}` }];
    }),
    ...value.buildsAgainst.flatMap((need, index) =>
      made.has(need)
        ? []
        : [
            {
              ...positionOf(['buildsAgainst', index]),
              message: `buildsAgainst: no persona makes "${need}"${nearestHint(need, [...made])}`,
            },
          ],
    ),
  ];
}
