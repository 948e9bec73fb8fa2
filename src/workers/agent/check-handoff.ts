import { lstat } from 'node:fs/promises';
import { errorMessage } from '../../shared/errors.ts';
import type { Handoff } from '../../shared/handoff.ts';
import type { Finding } from '../../shared/verdict.ts';
import { resolveInside } from '../../shared/workspace-path.ts';

/** Compares what a hand-off names with what is there: files that do not exist become findings. */
export async function checkHandoff(options: { handoff: Handoff; root: string }): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const file of new Set(options.handoff.files)) {
    const finding = { rule: 'handoff/missing-file', severity: 'error' as const, file };
    try {
      await lstat(await resolveInside(options.root, file));
    } catch (err) {
      findings.push({
        ...finding,
        message: `the hand-off names ${file}, which is not in the workspace: ${errorMessage(err)}`,
      });
    }
  }
  return findings;
}
