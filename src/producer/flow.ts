import type { FlowJob, JobsOptions } from 'bullmq';
import { FleetError } from '../shared/errors.ts';
import type { EdgeJob, GateJob, PersonaJob, RunJob } from '../shared/jobs.ts';
import { KEEP, QUEUES, jobIds, personaQueue } from '../shared/names.ts';
import type { PlannedPhase, RunPlan } from '../shared/run-record.ts';

/** How long a parked edge waits before it looks for itself, should nobody have woken it. */
const EDGE_SAFETY_MS = 10 * 60_000;

/** A parent goes on when a child fails: it reads from the run's records what that means for it. */
const child = (options: JobsOptions): JobsOptions => ({
  ...options,
  ignoreDependencyOnFailure: true,
  removeOnComplete: KEEP,
  removeOnFail: KEEP,
});

/** Gate jobs say why when they cannot be judged; a run, a fan or an edge must get through, however long it takes. */
const GATE_ATTEMPTS = { attempts: 6, backoff: { type: 'exponential', delay: 200 } };
const CONTROL_ATTEMPTS = { attempts: 1_000_000, backoff: { type: 'fixed', delay: 2_000 } };

interface Consumer {
  phase: PlannedPhase;
  persona: string;
}

/**
 * A run as one BullMQ flow. The run job is the root; a phase is a gate job whose children are its persona jobs;
 * a persona job's children are the gate jobs of the phases it needs.
 * BullMQ gives a job one parent. The first consumer of a phase holds its gate job as a child, below a `fan` job when
 * there are more consumers; each further consumer holds a parked `edge` job, which the fan job wakes.
 */
export function buildFlow(plan: RunPlan): FlowJob {
  const consumers = consumersOf(plan);
  const byName = new Map(plan.phases.map((phase) => [phase.name, phase]));
  const common = { schemaVersion: 1, runId: plan.runId, simulated: plan.provider === 'scripted' } as const;
  const mark = common.simulated ? ' [simulated]' : '';

  const gateJob = (phase: PlannedPhase): FlowJob => ({
    name: `${phase.name} gate${mark}`,
    queueName: QUEUES.gates,
    data: { ...common, phase: phase.name, measured: null } satisfies GateJob,
    opts: child({ jobId: jobIds.gate(plan.runId, phase.name), ...GATE_ATTEMPTS }),
    children: phase.personas.map((persona) => personaJob(phase, persona)),
  });

  const personaJob = (phase: PlannedPhase, persona: string): FlowJob => ({
    name: `${phase.name}: ${persona}${mark}`,
    queueName: personaQueue(persona),
    data: {
      ...common,
      phase: phase.name,
      persona,
      kind: 'work',
      round: 0,
      metrics: [],
      base: null,
      evidence: null,
    } satisfies PersonaJob,
    opts: child({
      jobId: jobIds.work(plan.runId, phase.name, persona, 0),
      attempts: phase.attempts,
      backoff: { type: 'exponential', delay: 1_000, jitter: 0.5 },
    }),
    children: phase.needs.map((need) => link(need, { phase, persona })),
  });

  const link = (from: string, to: Consumer): FlowJob => {
    const all = consumers.get(from) ?? [];
    const [first, ...others] = all;
    const source = byName.get(from);
    if (source === undefined || first === undefined)
      throw new FleetError('INTERNAL', `phase "${from}" is not in the plan`);
    const isFirst = first.phase === to.phase && first.persona === to.persona;
    if (!isFirst) return edgeJob(from, to);
    if (others.length === 0) return gateJob(source);
    const edges = others.map((other) => jobIds.edge(plan.runId, from, other.phase.name, other.persona));
    return {
      name: `${from} done, wake ${others.length} more${mark}`,
      queueName: QUEUES.edges,
      data: { ...common, kind: 'fan', from, edges } satisfies EdgeJob,
      opts: child({ jobId: jobIds.fan(plan.runId, from), ...CONTROL_ATTEMPTS }),
      children: [gateJob(source)],
    };
  };

  const edgeJob = (from: string, to: Consumer): FlowJob => ({
    name: `${from} -> ${to.phase.name}${mark}`,
    queueName: QUEUES.edges,
    data: { ...common, kind: 'edge', from, to: to.phase.name, persona: to.persona } satisfies EdgeJob,
    opts: child({
      jobId: jobIds.edge(plan.runId, from, to.phase.name, to.persona),
      delay: EDGE_SAFETY_MS,
      ...CONTROL_ATTEMPTS,
    }),
  });

  return {
    name: `${plan.workflow} run${mark}`,
    queueName: QUEUES.runs,
    data: { ...common, workflow: plan.workflow } satisfies RunJob,
    opts: { jobId: jobIds.run(plan.runId), removeOnComplete: KEEP, removeOnFail: KEEP, ...CONTROL_ATTEMPTS },
    children: plan.phases.filter((phase) => !consumers.has(phase.name)).map((phase) => gateJob(phase)),
  };
}

/** Who waits for each phase, in the order of the plan. */
function consumersOf(plan: RunPlan): Map<string, Consumer[]> {
  const consumers = new Map<string, Consumer[]>();
  for (const phase of plan.phases) {
    for (const persona of phase.personas) {
      for (const need of phase.needs) {
        const list = consumers.get(need) ?? [];
        list.push({ phase, persona });
        consumers.set(need, list);
      }
    }
  }
  return consumers;
}

/** How many jobs the flow adds. */
export const countJobs = (job: FlowJob): number =>
  1 + (job.children ?? []).reduce((sum, next) => sum + countJobs(next), 0);
