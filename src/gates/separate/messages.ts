import { z } from 'zod';
import type { SandboxSettings } from '../../shared/sandbox/sandbox-settings.ts';
import { ToldError } from '../../shared/told-error.ts';
import { Evidence, Finding } from '../../shared/verdict.ts';
import type { CollectContext } from '../collector.ts';
import type { Declared } from '../collectors/code/declared/measure-file.ts';

/** All of a context that is data. */
export type CollectInput = Omit<CollectContext, 'sandbox' | 'signal' | 'logger'>;
/** Commands of the policies in the place of what collectors measure themselves, with the catalogue they belong to. */
export interface DeclaredIn {
  commands: Declared['commands'];
  catalogue: CollectContext['metrics'];
}

/** What a process that measures is told by the one that started it, which is of the same build. */
export interface CollectRequest {
  /** Id and version, because parts of collectors share the id of the whole. */
  collector: string;
  declared: DeclaredIn | undefined;
  input: CollectInput;
  sandbox: SandboxSettings;
  logLevel: string;
}
export type CollectMessage = { type: 'collect'; request: CollectRequest } | { type: 'abort' };

const Value = z.union([
  z.strictObject({
    value: z.number().or(z.nan()),
    examined: z.number(),
    source: z.enum(['collector', 'review', 'approval']).optional(),
    simulated: z.boolean().optional(),
    evidence: z.array(Evidence).optional(),
  }),
  z.strictObject({ notEvaluable: z.string(), evidence: z.array(Evidence).optional() }),
]);

/** What it answers: it has read hostile files, so nothing is taken from it unseen. */
export const CollectReply = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('collected'),
    collected: z.strictObject({
      values: z.record(z.string(), Value),
      findings: z.array(Finding),
      evidence: z.array(Evidence),
    }),
  }),
  z.strictObject({ type: z.literal('failed'), ...ToldError.shape }),
]);
export type CollectReply = z.infer<typeof CollectReply>;

/** What names a collector among all. */
export const nameOf = ({ id, version }: { id: string; version: string }): string => `${id}@${version}`;
