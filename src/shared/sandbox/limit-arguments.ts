import type { SandboxLimits } from './sandbox.ts';

/**
 * Limits as arguments of `prlimit`. Address space is left alone: V8 reserves far more of it than it uses.
 * Memory is limited per process; what all together may hold is looked at from outside.
 */
export const limitArguments = (limits: SandboxLimits): string[] => [
  `--cpu=${limits.cpuSeconds}`,
  `--data=${limits.memoryBytes}`,
  `--nproc=${limits.processes}`,
  `--fsize=${limits.fileBytes}`,
  '--nofile=4096',
  '--core=0',
];
