import { FleetError } from '../shared/errors.ts';
import { FRESH, type GateJobResult } from '../shared/jobs.ts';
import { withInstances } from '../shared/instance-limits.ts';
import { jobIds } from '../shared/names.ts';
import {
  OPEN_PHASE,
  type PhaseRecord,
  type PhaseStatus,
  type PlannedPhase,
  type RunPlan,
  TERMINAL_PHASE,
} from '../shared/run-record.ts';
import { movePhase } from '../shared/transitions.ts';
import { beginPhase } from './begin-phase.ts';
import { settleEndedPhase } from './control-jobs.ts';
import { endedPhase } from './ended-phase.ts';
import { instanceChildren } from './gate-child-specs.ts';
import type { GateHandle } from './gate-handle.ts';
import { mergeWork } from './gate-measure.ts';
import { instancesFor, isRepeated } from './instances.ts';
import { assertInstancesAffordable } from './foreach-budget.ts';
import type { WorkerContext } from './worker-context.ts';

interface Repeated {
  ctx: WorkerContext;
  handle: GateHandle;
  plan: RunPlan;
  phase: PlannedPhase;
}

/**
 * Closes a phase that is repeated for each entry of a list: adds its instances, phases of their own below this job,
 * waits for them, and hands on their work together. Runs from the top each time it is woken; the list is the same each
 * time, because what it is read from has ended.
 */
export async function closeRepeatedPhase(of: Repeated): Promise<GateJobResult> {
  const { ctx, handle, plan, phase } = of;
  const now = (): Promise<PhaseRecord> => ctx.store.getPhase(plan.runId, phase.name);
  if ((await beginPhase(ctx, handle, plan, phase)) === 'skipped') return endedPhase(await now());
  const instances = await plannedInstances(of);
  if (instances === undefined) return endedPhase(await now());
  await leaveOutFormer(of, instances);
  const open = await unfinished(of, instances);
  if (open.length > 0) {
    const { generation, starts = {} } = handle.data;
    return handle.waitFor(
      open.map((instance) => instanceChildren({ plan, generation, phase: instance }, starts[instance.name] ?? FRESH)),
    );
  }
  await conclude(of, instances);
  return endedPhase(await now());
}

/** The instances, once they stand in the plan; undefined when the phase has ended for want of a list. */
async function plannedInstances(of: Repeated): Promise<PlannedPhase[] | undefined> {
  const { ctx, handle, plan, phase } = of;
  const end = async (status: PhaseStatus, reason: string): Promise<undefined> => {
    await movePhase(ctx.store, plan.runId, phase.name, status, { reason, fence: handle.fence });
  };
  if (!isRepeated(phase)) return [];
  try {
    const instances = await instancesFor(ctx, plan, phase);
    if (instances.length === 0) return await end('skipped', 'its list is empty');
    // Before the first of them only: those that are under way are stopped by their own calls.
    if (!plan.phases.some(({ instance }) => instance?.of === phase.name))
      await assertInstancesAffordable(ctx, plan, phase, instances);
    await ctx.store.growPlan(plan.runId, (known) => withInstances(known, phase.name, instances), handle.fence);
    return instances;
  } catch (err) {
    if (err instanceof FleetError && err.code === 'BAD_INPUT')
      return end('blocked', [err.message, ...(err.remedy === undefined ? [] : [err.remedy])].join('; '));
    if (err instanceof FleetError && err.code === 'BUDGET_EXCEEDED')
      return end('blocked', `${err.code}: ${err.message}; none of them was started`);
    throw err;
  }
}

/** A run that was taken up again may have another list: what is no longer in it is not run. */
async function leaveOutFormer(
  { ctx, handle, plan, phase }: Repeated,
  instances: readonly PlannedPhase[],
): Promise<void> {
  for (const { name, instance } of plan.phases)
    if (instance?.of === phase.name && !instances.some((current) => current.name === name))
      await movePhase(ctx.store, plan.runId, name, 'skipped', {
        reason: 'it is no longer in the list',
        fence: handle.fence,
      });
}

/** The instances whose jobs have not ended. One whose job ended without a verdict has failed. */
async function unfinished(of: Repeated, instances: readonly PlannedPhase[]): Promise<PlannedPhase[]> {
  const { ctx, handle, plan } = of;
  const { values, failures } = await handle.children();
  const open: PlannedPhase[] = [];
  for (const instance of instances) {
    const job = jobIds.gate(handle.data, instance.name);
    if (values.has(job) || failures.has(job))
      await settleEndedPhase(ctx.store, plan.runId, instance.name, handle.fence);
    else if (!TERMINAL_PHASE.includes((await ctx.store.getPhase(plan.runId, instance.name)).status))
      open.push(instance);
  }
  return open;
}

/** The instances together: any that did not pass stops the phase; otherwise their work is merged and handed on. */
async function conclude(of: Repeated, instances: readonly PlannedPhase[]): Promise<void> {
  const { ctx, handle, plan, phase } = of;
  const records: PhaseRecord[] = [];
  for (const { name } of instances) records.push(await ctx.store.getPhase(plan.runId, name));
  const end = (status: PhaseStatus, reason: string, change?: (record: PhaseRecord) => PhaseRecord): Promise<boolean> =>
    movePhase(ctx.store, plan.runId, phase.name, status, {
      reason,
      fence: handle.fence,
      ...(change === undefined ? {} : { change }),
    });
  const closed = records.filter(({ status }) => !OPEN_PHASE.includes(status));
  if (closed.length > 0) {
    const names = closed.map((record) => `${record.phase} is ${record.status.replaceAll('_', ' ')}`);
    const status = closed.some((record) => record.status === 'failed') ? 'failed' : 'blocked';
    await end(status, `${closed.length} of ${records.length} instances did not pass: ${names.join(', ')}`);
    return;
  }
  const sources = records.flatMap(({ phase: label, commit, bundle }) =>
    commit === null || bundle === null ? [] : [{ label, commit, bundle }],
  );
  const merged = sources.length === 0 ? undefined : await mergeWork(ctx, phase, sources);
  if (merged !== undefined && merged.conflicts.length > 0) {
    const more = merged.conflicts.length > 1 ? ` (and ${merged.conflicts.length - 1} more)` : '';
    await end('blocked', `merge_conflict: ${merged.conflicts[0]}${more}`);
    return;
  }
  const simulated = records.some((record) => record.simulated);
  await end(together(records), '', (record) => ({
    ...record,
    ...merged?.candidate,
    simulated: record.simulated || simulated,
  }));
}

function together(records: readonly PhaseRecord[]): PhaseStatus {
  const only = (status: PhaseStatus): boolean => records.every((record) => record.status === status);
  if (only('passed')) return 'passed';
  return only('not_gated') ? 'not_gated' : 'passed_with_warnings';
}
