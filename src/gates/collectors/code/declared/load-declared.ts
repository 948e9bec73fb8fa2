import { readFile, realpath } from 'node:fs/promises';
import { sep } from 'node:path';
import { FleetError } from '../../../../shared/errors.ts';
import type { Collector } from '../../../collector.ts';
import type { MetricSpec } from '../../../policy-schema.ts';
import { parseMeasureFile } from './measure-file.ts';
import { type DeclaredCollector, withDeclared } from './with-declared.ts';

/** Reads a measure file. It lies outside of what is measured, so that an author cannot choose the measurement. */
export async function loadDeclared(options: {
  /** As the user gave it. */
  name: string;
  path: string;
  root: string;
  catalogue: Readonly<Record<string, MetricSpec>>;
  collectors: readonly Collector[];
}): Promise<{ collectors: Collector[]; replaced: DeclaredCollector[] }> {
  const { name, root, catalogue, collectors } = options;
  let text: string;
  let path: string;
  try {
    path = await realpath(options.path);
    text = await readFile(path, 'utf8');
  } catch (err) {
    throw new FleetError('BAD_USAGE', `--measure ${name} cannot be read`, { cause: err, remedy: 'Check the path.' });
  }
  if (path.startsWith(`${await realpath(root)}${sep}`))
    throw new FleetError('BAD_USAGE', `--measure ${name} lies in the folder that is measured`, {
      remedy: 'Keep it beside the policy, where the author of the measured files cannot change it.',
    });
  return withDeclared(collectors, parseMeasureFile({ file: name, text }, catalogue), catalogue);
}
