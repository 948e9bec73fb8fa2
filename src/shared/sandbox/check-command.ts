import { existsSync } from 'node:fs';
import { posix } from 'node:path';
import { FleetError } from '../errors.ts';
import type { SandboxCommand } from './sandbox.ts';

/** Refuses what no sandbox could run, before anything starts. */
export function checkCommand(command: SandboxCommand): void {
  if (command.argv.length === 0) throw new FleetError('BAD_INPUT', 'there is no program to run in the sandbox');
  const pieces = [...command.argv, command.cwd, ...Object.entries(command.env ?? {}).flat()];
  if (pieces.some((piece) => piece.includes('\0'))) {
    throw new FleetError('BAD_INPUT', 'a command, its folder and its environment cannot hold NUL bytes');
  }
  for (const path of [command.cwd, ...command.mounts.map((mount) => mount.inside)]) {
    if (!posix.isAbsolute(path)) throw new FleetError('BAD_INPUT', `"${path}" is no absolute path inside the sandbox`);
  }
  for (const mount of command.mounts) {
    if (!existsSync(mount.host))
      throw new FleetError('NOT_FOUND', `${mount.host} cannot be mounted: it does not exist`);
    if (posix.normalize(mount.inside) !== mount.inside || mount.inside === '/') {
      throw new FleetError('BAD_INPUT', `nothing can be mounted at "${mount.inside}" inside the sandbox`);
    }
  }
}
