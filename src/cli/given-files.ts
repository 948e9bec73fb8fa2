import { readFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import type { GivenFile, GivenFiles } from '../shared/definitions.ts';
import { FleetError } from '../shared/errors.ts';

async function read(cwd: string, option: string, file: string | undefined): Promise<GivenFile | undefined> {
  if (file === undefined) return undefined;
  try {
    return { name: basename(file), text: await readFile(resolve(cwd, file), 'utf8') };
  } catch (err) {
    throw new FleetError('BAD_USAGE', `${option} ${file} cannot be read`, { cause: err, remedy: 'Check the path.' });
  }
}

export interface GivenFlags {
  records?: string;
  advisories?: string;
}

/** What the operator knows and the project does not: records of operation, advisories about packages. */
export const readGivenFiles = async (cwd: string, flags: GivenFlags): Promise<GivenFiles> => ({
  records: await read(cwd, '--records', flags.records),
  advisories: await read(cwd, '--advisories', flags.advisories),
});
