import { lstat } from 'node:fs/promises';
import { errorMessage } from '../../shared/errors.ts';
import type { Handoff } from '../../shared/handoff.ts';
import type { Finding } from '../../shared/verdict.ts';
import { resolveInside } from '../../shared/workspace-path.ts';

/** Compares what a hand-off names with what is there: files and contracts that do not exist become findings. */
export async function checkHandoff(options: { handoff: Handoff; root: string }): Promise<Finding[]> {
  const { handoff, root } = options;
  const findings: Finding[] = [];
  const look = async (file: string, rule: string, says: string): Promise<void> => {
    try {
      await lstat(await resolveInside(root, file));
    } catch (err) {
      const message = `the hand-off ${says}, which is not in the workspace: ${errorMessage(err)}`;
      findings.push({ rule, severity: 'error', file, message });
    }
  };
  for (const file of new Set(handoff.files)) await look(file, 'handoff/missing-file', `names ${file}`);
  for (const { name, file } of handoff.contracts)
    await look(file, 'handoff/missing-contract', `says that the contract "${name}" is in ${file}`);
  return findings;
}
