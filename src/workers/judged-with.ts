import { bypassRate, rateLine, rateSettings } from '../gates/bypass/bypass-rate.ts';
import type { JudgedWith } from '../gates/judge-round.ts';
import type { PolicySet } from '../gates/load-policy.ts';
import { baselineOf } from '../gates/trend/baselines.ts';
import { BaselineStore } from '../shared/baseline.ts';
import { RedisBypassLog, bypassesOfRun } from '../shared/bypass-log.ts';
import type { RunId } from '../shared/names.ts';
import type { PlannedPhase, RunPlan } from '../shared/run-record.ts';
import type { PhaseVerdict } from '../shared/verdict.ts';
import type { WorkerContext } from './worker-context.ts';

/** As much of a worker as this needs. */
type Judging = Pick<WorkerContext, 'redis' | 'config' | 'store' | 'logger'>;

/**
 * What a phase is judged with beside its measurements: the bypasses that the log holds for it at this moment, and the
 * baseline of its workflow. In a log that somebody touched no bypass counts.
 */
export async function readJudgedWith(ctx: Judging, plan: RunPlan, phase: PlannedPhase): Promise<JudgedWith> {
  const log = new RedisBypassLog(ctx.redis, ctx.config.prefix);
  const state = await log.read();
  const isBroken = state.problems.length > 0;
  if (isBroken)
    ctx.logger.error({ log: log.location, problems: state.problems }, 'the bypass log is broken: no bypass counts');
  const known = bypassesOfRun(state.bypasses, plan.runId, plan.workflow);
  const baselines = new BaselineStore(ctx.redis, ctx.config.prefix);
  return {
    now: new Date().toISOString(),
    bypasses: known.filter((bypass) => bypass.phase === phase.name),
    ...(isBroken ? { brokenBypassLog: state.problems.join('; ') } : {}),
    baseline: await baselines.find(plan.workflow, phase.name, plan.provider !== 'anthropic'),
  };
}

/** Says aloud that a gate was let through, and when that happens too often. */
export async function warnOfBypasses(
  ctx: Judging,
  policySet: PolicySet,
  of: { runId: RunId; phase: string; verdict: PhaseVerdict },
): Promise<void> {
  const { runId, phase, verdict } = of;
  const applied = (verdict.bypasses ?? []).filter((bypass) => bypass.outcome === 'applied');
  if (applied.length === 0) return;
  const rate = await bypassRate(ctx.store, rateSettings(policySet.file), new Date().toISOString());
  ctx.logger.warn(
    {
      runId,
      phase,
      bypasses: applied.map(({ id, gate }) => ({ id, gate })),
      rate: rateLine(rate),
      alert: rate.isAlert,
    },
    rate.isAlert ? 'gates are bypassed too often' : 'a gate was bypassed',
  );
}

/**
 * After a run has ended: if it passed, its values are what the next run of the workflow is compared with.
 * Safe to repeat, so a worker that dies in between loses nothing.
 */
export async function recordBaselines(ctx: Judging, runId: RunId): Promise<void> {
  const run = await ctx.store.getRun(runId);
  if (run.status !== 'passed' && run.status !== 'passed_with_warnings') return;
  const phases = new Map((await ctx.store.getPhases(runId)).map((phase) => [phase.phase, phase]));
  const isSimulated = run.provider !== 'anthropic';
  const baselines = new BaselineStore(ctx.redis, ctx.config.prefix);
  await baselines.replace(run.workflow, isSimulated, [...phases.keys()], (name, before) => {
    const phase = phases.get(name);
    return phase === undefined ? null : baselineOf(run, phase, before);
  });
}
