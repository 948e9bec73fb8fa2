import { join } from 'node:path';
import { readRegularFile } from '../hostile-files.ts';

const MAX_SOURCE_BYTES = 16 * 1024 ** 2;

/** The lines of a file; none where there is no regular file. */
export async function linesOf(root: string, file: string): Promise<string[]> {
  const bytes = await readRegularFile(join(root, file), MAX_SOURCE_BYTES);
  return bytes === undefined ? [] : bytes.toString('utf8').split('\n');
}
