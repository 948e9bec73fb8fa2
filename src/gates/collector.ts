import type { Logger } from '../shared/logger.ts';
import type { GivenFiles } from '../shared/definitions.ts';
import type { Approval, Judgement } from '../shared/handoff.ts';
import type { Sandbox } from '../shared/sandbox/sandbox.ts';
import type { Evidence, Finding } from '../shared/verdict.ts';
import type { ArtifactSpec, MetricSpec } from './policy-schema.ts';

/** One file found for an artifact, with its path relative to the measured folder. */
export interface ArtifactFiles {
  artifact: string;
  spec: ArtifactSpec;
  files: readonly string[];
}

/** What is known of the run around the files; all of it recorded by the fleet, none of it by a persona. */
export interface RunContext {
  approvals: readonly Approval[];
  /** Reviews by personas that are not the author, with who judged. */
  judgements: readonly { reviewer: string; simulated: boolean; judgement: Judgement }[];
  phaseStartedAt: string | undefined;
  /** How many rework rounds came before this one. */
  round: number;
  /** The requirement text of the run, when there is one. */
  inputs: Readonly<Record<string, string | number | boolean>>;
  /** Exported records of the service in operation, and advisories about packages. */
  given?: GivenFiles;
}

export interface CollectContext {
  /** The measured files: a checkout that collectors only ever mount read-only. */
  root: string;
  /** A fresh folder of this collector's own. Anything written here by sandboxed code is hostile. */
  outDir: string;
  sandbox: Sandbox;
  phase: string;
  /** The metrics wanted from this collector, with their catalogue entries. */
  metrics: Readonly<Record<string, MetricSpec>>;
  /** Every artifact of the catalogue, resolved against `root`. */
  artifacts: Readonly<Record<string, ArtifactFiles>>;
  run: RunContext;
  /** Git tree hash of `root`, or a content hash when it is no repository. */
  tree: string;
  signal: AbortSignal;
  logger: Logger;
}

export type CollectedValue =
  | {
      value: number;
      examined: number;
      source?: 'collector' | 'review' | 'approval' | undefined;
      simulated?: boolean | undefined;
      evidence?: Evidence[] | undefined;
    }
  /** Could not be measured: says why, in words that tell the author what to do. */
  | { notEvaluable: string; evidence?: Evidence[] | undefined };

export interface Collected {
  /** One entry for every wanted metric. A metric left out is not evaluable. */
  values: Record<string, CollectedValue>;
  findings: Finding[];
  /** Evidence shared by all values of this collector. */
  evidence: Evidence[];
}

/**
 * Measures one family of metrics by running real tools on real files.
 * Throwing, timing out or leaving a metric out makes the metric not evaluable, which blocks.
 */
export interface Collector {
  readonly id: string;
  /** Changes when what it measures, or how, changes. */
  readonly version: string;
  /** Every metric it can measure. */
  readonly metrics: readonly string[];
  readonly timeoutMs: number;
  /** True when its result depends on nothing but the files, its settings and its tools: then it may be reused. */
  readonly cacheable?: boolean;
  /** What it is made of where each stack has a collector of its own: they are self-tested one by one. */
  readonly parts?: {
    readonly all: readonly Collector[];
    /** Those that measure this folder. */
    of(root: string): Promise<readonly Collector[]>;
  };
  collect(context: CollectContext): Promise<Collected>;
}
