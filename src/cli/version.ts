import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { packagePath } from '../shared/package-root.ts';

/** The version in package.json. */
export const version = (): string =>
  z.looseObject({ version: z.string() }).parse(JSON.parse(readFileSync(packagePath('package.json'), 'utf8'))).version;
