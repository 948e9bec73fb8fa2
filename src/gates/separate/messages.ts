import { z } from 'zod';
import type { SandboxSettings } from '../../shared/sandbox/sandbox-settings.ts';
import { IntegrityCheck } from '../../shared/round-evidence.ts';
import { ToldError } from '../../shared/told-error.ts';
import { Evidence, Finding } from '../../shared/verdict.ts';
import type { CollectContext } from '../collector.ts';
import type { Declared } from '../collectors/code/declared/measure-file.ts';
import type { DocumentSpec } from '../document-problems.ts';
import type { IntegrityCheckName } from '../integrity/check-integrity.ts';
import type { IntegrityInput } from '../integrity/integrity-context.ts';

/** All of a context that is data. */
export type ContextData = Omit<CollectContext, 'sandbox' | 'signal' | 'logger'>;
/** Commands of the policies in the place of what collectors measure themselves, with the catalogue they belong to. */
export interface DeclaredIn {
  commands: Declared['commands'];
  catalogue: CollectContext['metrics'];
}

/** What a process that measures may be asked to do. */
export type Task =
  /** `collector` is its id and version, because parts of collectors share the id of the whole. */
  | { type: 'collect'; collector: string; declared: DeclaredIn | undefined; context: ContextData }
  | { type: 'check'; check: IntegrityCheckName; input: Omit<IntegrityInput, 'context'>; context: ContextData }
  | { type: 'read'; root: string; path: string; spec: DocumentSpec };

/** What it is told by the process that started it, which is of the same build. */
export type MeasureMessage =
  | { type: 'measure'; task: Task; sandbox: SandboxSettings; logLevel: string }
  | { type: 'abort' };

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

/** What each task gives. The process has read hostile files, so nothing is taken from it unseen. */
export const Collected = z.strictObject({
  values: z.record(z.string(), Value),
  findings: z.array(Finding),
  evidence: z.array(Evidence),
});
export const Checked = z.strictObject({
  check: IntegrityCheck,
  findings: z.array(Finding),
  isWhole: z.boolean().optional(),
});
export const Lacks = z.array(z.string());

/** What it answers. */
export const MeasureReply = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('measured'), result: z.unknown() }),
  z.strictObject({ type: z.literal('failed'), ...ToldError.shape }),
]);
export type MeasureReply = z.infer<typeof MeasureReply>;

/** What names a collector among all. */
export const nameOf = ({ id, version }: { id: string; version: string }): string => `${id}@${version}`;
