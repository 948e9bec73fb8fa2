import type { IntegrityCheck } from '../../shared/round-evidence.ts';
import type { ChangedFile } from '../../shared/workspace.ts';
import type { Finding } from '../../shared/verdict.ts';
import type { CollectContext } from '../collector.ts';

/** The work of one phase beside what it began with. */
export interface IntegrityInput {
  /** The phase's work: a checkout, and the folder for reports. */
  context: CollectContext;
  /** A checkout of what the phase began with. */
  baseRoot: string;
  /** From the base to the work. */
  changed: readonly ChangedFile[];
  /** Who last changed each file of the base. */
  owners: ReadonlyMap<string, string>;
  /** The personas of the phase. */
  personas: readonly string[];
  /** Links of the work that lead out of it, or nowhere. */
  strayLinks: readonly string[];
  /** Does the policy of the phase read anything that tests establish? */
  isTested: boolean;
}

export interface Checked {
  check: IntegrityCheck;
  findings: Finding[];
}

/** The same context on other files. */
export const contextOn = (context: CollectContext, root: string): CollectContext => ({ ...context, root });
