import { ConcurrencyGroups } from '../shared/groups.ts';
import type { RunTake } from '../shared/names.ts';
import { type Place, holderFrom, holderOf, placesOf } from '../shared/places.ts';
import { type PlannedPhase, type RunPlan, TERMINAL_PHASE, TERMINAL_RUN } from '../shared/run-record.ts';
import type { ParkedJob, RunStore } from '../shared/run-store.ts';
import { Parked } from './parking.ts';
import type { WorkerContext } from './worker-context.ts';

/** A waiting job looks for itself this often, should whoever held the place have died without giving it back. */
const RECHECK_MS = 10_000;
const ATTEND_MS = 5_000;

type Stores = Pick<WorkerContext, 'store' | 'redis' | 'config'>;

const groupsOf = ({ redis, config }: Stores): ConcurrencyGroups => new ConcurrencyGroups(redis, config.prefix);

/** Takes every place the phase needs. Throws `Parked` while one of them is not free. */
export async function takePlaces(
  ctx: Stores,
  of: { plan: RunPlan; phase: PlannedPhase; take: RunTake; job: ParkedJob },
): Promise<void> {
  const groups = groupsOf(ctx);
  for (const { group, limit, holder } of placesOf(of.plan, of.phase, of.take)) {
    const isTaken = async (): Promise<boolean> => {
      if (await groups.take(group, { holder, limit, job: of.job })) return true;
      if (!(await groups.isUnattended(group, ATTEND_MS))) return false;
      const gone = await idleMembers(ctx.store, await groups.members(group));
      if (gone.length === 0) return false;
      await groups.release(group, { holders: gone, limit });
      return groups.take(group, { holder, limit, job: of.job });
    };
    if (!(await isTaken())) throw new Parked(`waits for a place in group ${group}`, isTaken, RECHECK_MS);
  }
}

/** Gives back what the run or the phase of a job held, once it has ended; returns the jobs to wake. */
export async function leavePlaces(ctx: Stores, take: RunTake & { phase?: string }): Promise<ParkedJob[]> {
  const plan = await ctx.store.getPlan(take.runId);
  const { phase } = take;
  if (phase === undefined)
    return plan.concurrency === undefined ? [] : releaseAll(ctx, [{ ...plan.concurrency, holder: holderOf(take) }]);
  const planned = plan.phases.find(({ name }) => name === phase);
  const { status } = await ctx.store.getPhase(take.runId, phase);
  if (planned === undefined || !TERMINAL_PHASE.includes(status)) return [];
  return releaseAll(
    ctx,
    placesOf(plan, planned, take).filter(({ holder }) => holder === holderOf(take, phase)),
  );
}

async function releaseAll(ctx: Stores, places: readonly Place[]): Promise<ParkedJob[]> {
  const groups = groupsOf(ctx);
  const woken: ParkedJob[] = [];
  for (const { group, limit, holder } of places)
    woken.push(...(await groups.release(group, { holders: [holder], limit })));
  return woken;
}

/**
 * Members whose run or phase has ended, was taken up again, or is gone; and those who only wait while their run is
 * paused, so that nobody waits behind them: they ask again when it goes on.
 */
async function idleMembers(
  store: RunStore,
  { holders, waiters }: { holders: readonly string[]; waiters: readonly string[] },
): Promise<string[]> {
  const idle: string[] = [];
  for (const member of new Set([...holders, ...waiters])) {
    const { runId = '', generation, phase } = holderFrom(member) ?? {};
    const standing = await store.getStanding(runId);
    const isIdle =
      standing === undefined ||
      TERMINAL_RUN.includes(standing.status) ||
      standing.generation !== generation ||
      (standing.status === 'paused' && !holders.includes(member)) ||
      (phase !== undefined && TERMINAL_PHASE.includes((await store.getPhase(runId, phase)).status));
    if (isIdle) idle.push(member);
  }
  return idle;
}
