import { machineMemory } from '../memory-watch.ts';
import type { ProcessResult } from '../process.ts';
import type { SandboxLimits, SandboxResult } from './sandbox.ts';

/** What all processes of a command may hold together: never more than half of the machine. */
export const memoryTogether = ({ allMemoryBytes }: SandboxLimits): number =>
  Math.min(allMemoryBytes, machineMemory() / 2);

/** Says in the result that the limit on all memory ended the command. */
export function explainMemory(result: ProcessResult, limits: SandboxLimits): SandboxResult {
  const { endedBy, stderr, report: _, ...rest } = result;
  if (endedBy !== 'memory') return { ...rest, endedBy, stderr };
  const said = `[ended: its processes held more than ${memoryTogether(limits)} bytes of memory together]`;
  return { ...rest, endedBy: 'signal', stderr: `${stderr}\n${said}\n` };
}
