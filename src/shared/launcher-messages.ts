import { z } from 'zod';
import { OutputProgress } from './output-progress.ts';
import { ToldError } from './told-error.ts';

const Id = z.number().int();
const Bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array);

/** What the process that starts programs is told. */
export const LauncherRequest = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('run'),
    id: Id,
    argv: z.array(z.string()),
    cwd: z.string(),
    env: z.record(z.string(), z.string()),
    timeoutMs: z.number(),
    outputBytes: z.number(),
    memoryBytes: z.number().optional(),
    stdin: z.union([z.string(), Bytes]).optional(),
    /** Paths that open the files which the program finds as its descriptors 3 and up. */
    files: z.array(z.string()),
    isHostile: z.boolean(),
    hasReport: z.boolean(),
    /** Whether output is told as it comes. */
    tellsOutput: z.boolean(),
    /** Whether it is told now and then what is printed. */
    tellsProgress: z.boolean(),
  }),
  z.strictObject({ type: z.literal('abort'), id: Id }),
]);
export type LauncherRequest = z.infer<typeof LauncherRequest>;

/** What it answers. */
export const LauncherReply = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('output'), id: Id, stream: z.enum(['stdout', 'stderr']), text: z.string() }),
  z.strictObject({ type: z.literal('progress'), id: Id, progress: OutputProgress }),
  z.strictObject({
    type: z.literal('ended'),
    id: Id,
    result: z.strictObject({
      exitCode: z.number().nullable(),
      endedBy: z.enum(['exit', 'signal', 'timeout', 'aborted', 'memory']),
      stdout: z.string(),
      stderr: z.string(),
      truncated: z.boolean(),
      durationMs: z.number(),
      report: z.string().optional(),
    }),
  }),
  z.strictObject({
    type: z.literal('failed'),
    id: Id,
    ...ToldError.shape,
  }),
]);
export type LauncherReply = z.infer<typeof LauncherReply>;
