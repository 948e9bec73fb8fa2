import { ConcurrencyGroups } from '../shared/groups.ts';
import { holderFrom, placesOf } from '../shared/places.ts';
import type { Redis } from '../shared/redis.ts';
import { type PhaseRecord, type RunPlan, type RunRecord, TERMINAL_RUN } from '../shared/run-record.ts';
import type { GroupWait } from './api-schemas.ts';

/** Which phases of a run wait for a place in a group, and for whom. */
export async function groupWaits(
  { redis, prefix }: { redis: Redis; prefix: string },
  { plan, run, phases }: { plan: RunPlan; run: RunRecord; phases: readonly PhaseRecord[] },
): Promise<GroupWait[]> {
  if (TERMINAL_RUN.includes(run.status)) return [];
  const groups = new ConcurrencyGroups(redis, prefix);
  const known = new Map<string, ReturnType<ConcurrencyGroups['members']>>();
  const membersOf = (group: string): ReturnType<ConcurrencyGroups['members']> => {
    const members = known.get(group) ?? groups.members(group);
    known.set(group, members);
    return members;
  };
  const waiting = new Set(phases.filter(({ status }) => status === 'waiting').map(({ phase }) => phase));
  const found = plan.phases
    .filter(({ name }) => waiting.has(name))
    .map(async (phase): Promise<GroupWait[]> => {
      for (const { group, limit, holder } of placesOf(plan, phase, run)) {
        const { holders, waiters } = await membersOf(group);
        const ahead = waiters.indexOf(holder);
        if (ahead === -1) continue;
        const of = holders.flatMap((name) => holderFrom(name) ?? []);
        const named = of.map(({ runId, phase: held = null }) => ({ runId, phase: held }));
        return [{ phase: phase.name, group, limit, holders: named, ahead }];
      }
      return [];
    });
  return (await Promise.all(found)).flat();
}
