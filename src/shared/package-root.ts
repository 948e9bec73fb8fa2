import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of package.json: two above this file, in `src` and in `dist` alike. */
export const PACKAGE_ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** A path inside the package, e.g. `packagePath('policies', 'phase_slos.yaml')`. */
export const packagePath = (...parts: string[]): string => join(PACKAGE_ROOT, ...parts);
