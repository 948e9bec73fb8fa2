import type { NewRunEvent, RunPlan } from '../shared/run-record.ts';
import type { Finding } from '../shared/verdict.ts';
import type { SharedFile } from '../shared/workspace.ts';

const CONFLICT = 'merge/conflict';
const OVERLAP = 'merge/same-file';

/** A file whose changes could not be merged: one of those who changed it resolves it, the others leave it alone. */
export function conflictFinding({ file, labels }: SharedFile): Finding {
  const persona = personaOf(labels.at(-1) ?? '');
  return {
    rule: CONFLICT,
    severity: 'error',
    file,
    ...(persona === undefined ? {} : { persona }),
    message: `${file} was changed by ${labels.join(' and ')} in ways that do not fit together; it holds conflict markers${
      persona === undefined ? '' : `, which ${persona} resolves, keeping what both meant`
    }`,
  };
}

/** A file whose changes were merged line by line: the gates measure the result, and somebody should read it. */
export const overlapFinding = ({ file, labels }: SharedFile): Finding => ({
  rule: OVERLAP,
  severity: 'warning',
  file,
  message: `${file} was changed by ${labels.join(' and ')} at the same time; the changes were merged, and what is measured is the result: read whether it still makes sense`,
});

/** `phase/persona`, as the work of one persona of a phase is labelled. */
const personaOf = (label: string): string | undefined => label.split('/')[1];

/** What the phases before changed at the same time, as the personas after them are given it. */
export const sharedBefore = (
  plan: RunPlan,
  { conflicts, overlaps }: { conflicts: readonly SharedFile[]; overlaps: readonly SharedFile[] },
): Finding[] => [
  ...conflicts.map(({ file, labels }): Finding => ({
    rule: CONFLICT,
    severity: 'warning',
    file,
    message: `${file} was changed by ${withPersonas(plan, labels).join(' and ')} in ways that do not fit together, and was handed on with conflict markers to be resolved`,
  })),
  ...overlaps.map(({ file, labels }) => overlapFinding({ file, labels: withPersonas(plan, labels) })),
];

/** Phases with who worked in them. */
const withPersonas = ({ phases }: RunPlan, labels: readonly string[]): string[] =>
  labels.map((label) => {
    const team = phases.find(({ name }) => name === label)?.personas ?? [];
    return team.length === 0 ? label : `${label} (${team.join(', ')})`;
  });

/** What to tell in the log of the run when more than one changed a file. */
export function sharedFilesEvent(phase: string, round: number, findings: readonly Finding[]): NewRunEvent[] {
  // Of several personas of a phase each was told of the files it began with.
  const byMessage = new Map(
    findings.flatMap(({ rule, file, message }) =>
      file !== undefined && (rule === CONFLICT || rule === OVERLAP)
        ? [[message, { file, merged: rule === OVERLAP, message }] as const]
        : [],
    ),
  );
  const files = [...byMessage.values()];
  return files.length === 0 ? [] : [{ type: 'files.shared', phase, round, files }];
}
