import type { Finding } from '../../shared/verdict.ts';

/** Whose file it is, if that is known. */
export type OwnerOf = (file: string) => string | undefined;

/** Addresses each finding in a file to whoever owns it. Nothing else decides who is to act on a finding. */
export const addressFindings = (findings: readonly Finding[], ownerOf: OwnerOf): Finding[] =>
  findings.map((finding) => {
    if (finding.file === undefined || finding.persona !== undefined) return finding;
    const persona = ownerOf(finding.file);
    return persona === undefined || persona === '' ? finding : { ...finding, persona };
  });

/** Whether anybody is named who is to act on a finding. */
export const isAddressed = (findings: readonly Finding[]): boolean =>
  findings.some(({ persona }) => persona !== undefined);

/**
 * The findings as one persona of a phase is given them: those of its own files, then those that nobody of the phase
 * owns, then those that the others of the phase are given first.
 */
export function findingsFor(
  findings: readonly Finding[],
  persona: string,
  team: readonly string[],
): { own: Finding[]; others: Finding[] } {
  const isOfTeam = ({ persona: owner }: Finding): boolean => owner !== undefined && team.includes(owner);
  return {
    own: [
      ...findings.filter((finding) => finding.persona === persona),
      ...findings.filter((finding) => finding.persona !== persona && !isOfTeam(finding)),
    ],
    others: findings.filter((finding) => finding.persona !== persona && isOfTeam(finding)),
  };
}
