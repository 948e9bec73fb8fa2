import { z } from 'zod';
import type { Evidence } from '../../shared/verdict.ts';
import type { CollectContext, Collector, RunContext } from '../collector.ts';
import type { MetricSpec } from '../policy-schema.ts';

/** What a collector must say of a metric. A metric that is not evaluable must be so for the stated reason. */
export type Expected = { atLeast: number } | { atMost: number } | { notEvaluable: RegExp };

/** Changes to the fixture project: a whole text, a removal, or replacements of text that must be there. */
export type Edits = Readonly<Record<string, string | null | readonly (readonly [find: string, put: string])[]>>;

/** A project, and what is on record about it. */
export interface Twin {
  edits?: Edits;
  /** A function where the record depends on the time of the self-test. */
  run?: Partial<RunContext> | (() => Partial<RunContext>);
}

/** A known defect, and the metrics that must turn red by it. */
export interface Defect extends Twin {
  /** What is wrong with this twin, in words. */
  what: string;
  expect: Readonly<Record<string, Expected>>;
}

/** How one collector is shown to tell good from bad on this machine. */
export interface SelfTest {
  /** The phase that the twins are measured for. */
  phase: string;
  /** The folder with the project that the twins are made from, where it is not the usual one. */
  fixture?: string;
  /** Why it cannot be run on this machine, or undefined. What it needs may be fetched only where that is said. */
  needs?: (
    context: Pick<CollectContext, 'sandbox' | 'outDir' | 'logger' | 'signal'>,
    options: { fetch: boolean },
  ) => Promise<string | undefined>;
  /** Catalogue entries that differ from the usual one. */
  specs?: Readonly<Record<string, Partial<MetricSpec>>>;
  clean: Twin & { expect: Readonly<Record<string, Expected>> };
  defects: readonly Defect[];
}

const Check = z.strictObject({
  /** `clean`, or what is wrong with the twin. */
  twin: z.string(),
  metric: z.string(),
  expected: z.string(),
  seen: z.string(),
  ok: z.boolean(),
});

export const SelfTestResult = z.strictObject({
  collector: z.string(),
  version: z.string(),
  passed: z.boolean(),
  /** Why it did not pass. */
  reason: z.string().nullable(),
  checks: z.array(Check),
  /** Tools that took part, with their versions, as the collector's evidence names them. */
  tools: z.record(z.string(), z.string()),
  node: z.string(),
  sandbox: z.string(),
  at: z.string(),
  durationMs: z.number(),
});
export type SelfTestResult = z.infer<typeof SelfTestResult>;

/** Answers whether a collector is proven on this machine. What it has no passed result for, blocks. */
export interface SelfTestResults {
  /** Of a collector with parts, the result of those that measure the folder; of all of them where none is given. */
  resultOf(collector: Collector, signal: AbortSignal, root?: string): Promise<SelfTestResult | undefined>;
}

/** One result of several parts: it passed where each of them did. */
export function joinProofs(
  collector: Collector,
  proofs: readonly (readonly [part: Collector, proof: SelfTestResult | undefined])[],
): SelfTestResult | undefined {
  const results = proofs.flatMap(([, proof]) => proof ?? []);
  const [first] = results;
  if (first === undefined) return undefined;
  const faults = proofs.flatMap(([part, proof]) => faultOfProof(part, proof) ?? []);
  return {
    ...first,
    collector: collector.id,
    version: collector.version,
    passed: faults.length === 0,
    reason: faults.length === 0 ? null : faults.join('; '),
    checks: results.flatMap(({ checks }) => checks),
    tools: Object.fromEntries(results.flatMap(({ tools }) => Object.entries(tools))),
    at: results.map(({ at }) => at).toSorted()[0] ?? first.at,
    durationMs: results.reduce((sum, { durationMs }) => sum + durationMs, 0),
  };
}

export const describeExpected = (expected: Expected): string => {
  if ('atLeast' in expected) return `at least ${expected.atLeast}`;
  if ('atMost' in expected) return `at most ${expected.atMost}`;
  return `not evaluable (${expected.notEvaluable.source})`;
};

/** Why a collector may not be believed here, or undefined when it may. */
export function faultOfProof(collector: Collector, proof: SelfTestResult | undefined): string | undefined {
  const { id, version } = collector;
  if (proof === undefined) return `collector \`${id}\` was never self-tested, so nothing says that it can turn red`;
  if (proof.collector !== id || proof.version !== version)
    return `the self-test is of \`${proof.collector}\` ${proof.version}, not of \`${id}\` ${version}`;
  return proof.passed
    ? undefined
    : `the self-test of collector \`${id}\` did not pass on this machine: ${proof.reason ?? 'it gave no reason'}`;
}

/** The evidence of each measurement that its collector was proven, and with which tools: no others were. */
export const describeProof = (proof: SelfTestResult): Evidence => {
  const tools = Object.entries(proof.tools).map(([tool, version]) => `${tool} ${version}`);
  const by = [`node ${proof.node}`, ...tools, proof.sandbox].join(', ');
  return {
    kind: 'record',
    summary: `self-test of collector ${proof.collector} passed at ${proof.at}: ${proof.checks.length} checks with ${by}`,
    durationMs: proof.durationMs,
  };
};
