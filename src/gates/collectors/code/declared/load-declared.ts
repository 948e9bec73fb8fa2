import { readFile, realpath } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { FleetError } from '../../../../shared/errors.ts';
import type { MetricSpec } from '../../../policy-schema.ts';
import { type Declared, parseMeasureFile } from './measure-file.ts';

/** Reads a measure file. */
export async function loadDeclared(options: {
  /** As the user gave it. */
  name: string;
  path: string;
  catalogue: Readonly<Record<string, MetricSpec>>;
}): Promise<Declared> {
  const { name, path, catalogue } = options;
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (err) {
    throw new FleetError('BAD_USAGE', `--measure ${name} cannot be read`, { cause: err, remedy: 'Check the path.' });
  }
  return parseMeasureFile({ file: name, text }, catalogue);
}

/**
 * Who declares how something is measured must not be its author: the declaration lies outside of what is measured,
 * and so does every link on the way to it.
 */
export async function assertDeclaredOutside(root: string, file: { name: string; path: string }): Promise<void> {
  const home = await realpath(root);
  const places = [file.path, join(await realpath(dirname(file.path)), basename(file.path)), await realpath(file.path)];
  if (!places.some((place) => place.startsWith(`${home}${sep}`) || place.startsWith(`${root}${sep}`))) return;
  throw new FleetError('BAD_USAGE', `${file.name} declares commands that measure, and lies in what they measure`, {
    remedy: 'Keep it where the author of the measured files cannot change it, and name it with --measure or --overlay.',
  });
}
