import { z } from 'zod';
import { Name } from '../../shared/names.ts';

/** Which job a conversation is about: the first line of its first user message. */
export const JobLine = z.strictObject({
  run: z.string().regex(/^\w+$/),
  workflow: Name,
  phase: Name,
  persona: Name,
  kind: z.enum(['work', 'review']),
  round: z.coerce.number().int().nonnegative(),
  /** Only with the scripted provider. */
  scenario: z
    .string()
    .regex(/^[a-z][a-z0-9_:-]*$/)
    .optional(),
});
export type JobLine = z.infer<typeof JobLine>;

export const formatJobLine = (job: JobLine): string => {
  const line = JobLine.parse(job);
  const scenario = line.scenario === undefined ? '' : ` scenario="${line.scenario}"`;
  return (
    `<job run="${line.run}" workflow="${line.workflow}" phase="${line.phase}" persona="${line.persona}" ` +
    `kind="${line.kind}" round="${line.round}"${scenario}/>`
  );
};

/** Reads the job line that a text begins with; undefined when there is none or it is not valid. */
export function parseJobLine(text: string): JobLine | undefined {
  const attributes = /^<job((?: [a-z]+="[^"]*")+)\/>(?:\n|$)/.exec(text)?.[1];
  if (attributes === undefined) return undefined;
  const pairs = [...attributes.matchAll(/ ([a-z]+)="([^"]*)"/g)].map((match) => [match[1], match[2]]);
  return JobLine.safeParse(Object.fromEntries(pairs)).data;
}

/** What the last user message ends with when the conversation so far is to be summed up: a block that begins so. */
export const SUM_UP = '<sum-up/>';

/** Begins the note that stands for the turns before it; how many those were. */
export const formatSummedUp = (turns: number): string => `<summed-up turns="${turns}"/>`;

/** How many turns the note stands for that a text begins with; 0 when it is no such note. */
export const parseSummedUp = (text: string): number => Number(/^<summed-up turns="(\d+)"\/>\n/.exec(text)?.[1] ?? 0);
