import { type CostSources, runCosts } from '../../src/producer/cost-report.ts';

type RunCosts = Awaited<ReturnType<typeof runCosts>>;

/** The costs of a run whose calls stand in its ledger. */
export async function recordedCosts(
  sources: CostSources,
  runId: Parameters<typeof runCosts>[1],
): Promise<Extract<RunCosts, { recorded: true }>> {
  const costs = await runCosts(sources, runId);
  if (!costs.recorded) throw new Error(`the calls of ${runId} are not recorded`);
  return costs;
}
