import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { SandboxMount } from '../../shared/sandbox/sandbox.ts';

/** The work tree as commands see it. What is in .git could make git run commands outside the sandbox later. */
export function workspaceMounts(root: string, writable: boolean): SandboxMount[] {
  const git = join(root, '.git');
  return [
    { host: root, inside: '/work', writable },
    ...(existsSync(git) ? [{ host: git, inside: '/work/.git', writable: false }] : []),
  ];
}
