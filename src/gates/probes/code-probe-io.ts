import { readFileSync } from 'node:fs';
import type { z } from 'zod';

/** Arguments that every probe gets: the project's folder, the fleet's settings and its packages, as seen inside. */
export const projectFolder = process.argv[2] ?? '/project';
export const configFolder = process.argv[3] ?? '/fleet/config';
export const modulesFolder = process.argv[4] ?? '/fleet/node_modules';

export const readInput = <S extends z.ZodType>(schema: S): z.infer<S> =>
  schema.parse(JSON.parse(readFileSync(0, 'utf8')));

/** The probe's whole answer. Checked before it is sent, so that a wrong shape is the probe's fault and seen as such. */
export const answer = <S extends z.ZodType>(schema: S, report: z.infer<S>): void => {
  process.stdout.write(JSON.stringify(schema.parse(report)));
};
