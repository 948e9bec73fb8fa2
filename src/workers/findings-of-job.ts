import { findingsFor } from '../gates/owners/address-findings.ts';
import { getJson } from '../shared/blob-store.ts';
import type { PersonaJob } from '../shared/jobs.ts';
import { RoundEvidence } from '../shared/round-evidence.ts';
import type { PlannedPhase, RunPlan } from '../shared/run-record.ts';
import type { WorkPromptInput } from './agent/prompts.ts';
import { verdictFindings } from './gate-text.ts';
import type { WorkerContext } from './worker-context.ts';

interface Job {
  ctx: WorkerContext;
  data: PersonaJob;
  plan: RunPlan;
  phase: PlannedPhase;
}

/** What blocked the last round: the verdict's problems, then the findings, with those for this persona first. */
export async function findingsOf(job: Job): Promise<Pick<WorkPromptInput, 'findings' | 'findingsOfOthers'>> {
  const { data, ctx, phase, plan } = job;
  if (data.round === 0 || data.evidence === null) return { findings: [], findingsOfOthers: [] };
  const evidence = await getJson(ctx.blobs, data.evidence, RoundEvidence);
  const record = await ctx.store.getPhase(plan.runId, phase.name);
  const verdict = record.rounds.find((known) => known.round === data.round - 1)?.verdict;
  const { own, others } = findingsFor(evidence.findings, data.persona, phase.personas);
  return { findings: [...(verdict === undefined ? [] : verdictFindings(verdict)), ...own], findingsOfOthers: others };
}
