import { owedBy, owedFindings } from '../gates/contracts/edges.ts';
import { getJson } from '../shared/blob-store.ts';
import { Handoff } from '../shared/handoff.ts';
import type { PersonaResult } from '../shared/jobs.ts';
import type { IntegrityCheck } from '../shared/round-evidence.ts';
import type { PlannedPhase, RunPlan } from '../shared/run-record.ts';
import type { Finding } from '../shared/verdict.ts';
import { type LoadedDefinitions, type WorkerContext, documentReader } from './worker-context.ts';

interface Edges {
  /** What of it is missing in the files of the phase. */
  look: (root: string) => Promise<Finding[]>;
  /** The check that blocks the phase while something is; nothing where nobody needs anything of it. */
  check: (findings: readonly Finding[]) => IntegrityCheck[];
}

interface Asked {
  ctx: WorkerContext;
  plan: RunPlan;
  phase: PlannedPhase;
  loaded: LoadedDefinitions;
  signal: AbortSignal;
}

/** Holds the work of a phase, and what was said when it was handed off, against what later phases need of it. */
export async function edgesOf(
  { ctx, plan, phase, loaded, signal }: Asked,
  results?: readonly PersonaResult[],
): Promise<Edges> {
  const owed = owedBy({ phases: plan.phases, personas: loaded.definitions.personas }, phase);
  if (owed.length === 0) return { look: () => Promise.resolve([]), check: () => [] };
  const handoffs =
    results === undefined
      ? undefined
      : await Promise.all(
          results.map(async ({ persona, handoff }) => ({
            persona,
            handoff: await getJson(ctx.blobs, handoff, Handoff),
          })),
        );
  return {
    look: (root) => owedFindings(root, owed, handoffs, documentReader(ctx, signal)),
    check: (findings) => {
      const missing = findings.filter(({ rule }) => rule === 'handoff/need' || rule === 'handoff/contract');
      const message =
        missing.length === 0
          ? `everything that later phases need is there: ${owed.map(({ need }) => need).join(', ')}`
          : missing.map((finding) => finding.message).join('; ');
      return [
        {
          check: 'handoff_complete',
          outcome: missing.length === 0 ? 'held' : 'violated',
          examined: owed.length,
          message,
          evidence: [{ kind: 'record', summary: message }],
        },
      ];
    },
  };
}
