import type { FlowJob, JobsOptions } from 'bullmq';
import { FleetError } from '../shared/errors.ts';
import { type EdgeJob, FRESH, type GateJob, type PersonaJob, type PhaseStart, type RunJob } from '../shared/jobs.ts';
import { KEEP, QUEUES, type RunTake, jobIds, personaQueue } from '../shared/names.ts';
import {
  type PlannedPhase,
  type RunPlan,
  priorityOf,
  isReplayedRun,
  isSimulatedRun,
  originMark,
} from '../shared/run-record.ts';
import { leftOut } from '../shared/start-from.ts';
import { waitersOf } from '../shared/waiters.ts';

/** How long a parked edge waits before it looks for itself, should nobody have woken it. */
const EDGE_SAFETY_MS = 10 * 60_000;

/** A parent goes on when a child fails: it reads from the run's records what that means for it. */
const child = (plan: RunPlan, options: JobsOptions): JobsOptions => ({
  ...options,
  ...priorityOf(plan),
  ignoreDependencyOnFailure: true,
  removeOnComplete: KEEP,
  removeOnFail: KEEP,
});

/** Gate jobs say why when they cannot be judged; a run, a fan or an edge must get through, however long it takes. */
const GATE_ATTEMPTS = { attempts: 6, backoff: { type: 'exponential', delay: 200, jitter: 0.5 } };
const CONTROL_ATTEMPTS = { attempts: 1_000_000, backoff: { type: 'fixed', delay: 2_000 } };

/** The levels of jobs that Bull Board shows at once; a longer chain is hung up again below the run job. */
const MOST_LEVELS = 19;

interface Consumer {
  phase: PlannedPhase;
  persona: string;
}

/** Which phases are run, and from where: all of them at first, fewer when a run is taken up again. */
export interface FlowTake {
  generation: number;
  phases: ReadonlyMap<string, PhaseStart>;
}

/** The first take of a run: every phase that its plan does not leave out, from nothing. */
export function firstTake(plan: RunPlan): FlowTake {
  const notRun = leftOut(plan);
  const run = plan.phases.filter((phase) => !notRun.has(phase.name));
  return { generation: 0, phases: new Map(run.map((phase) => [phase.name, FRESH])) };
}

/**
 * A run as one BullMQ flow. The run job is the root; a phase is a gate job whose children are its persona jobs;
 * a persona job's children are the gate jobs of the phases it needs.
 * BullMQ gives a job one parent. The first consumer of a phase holds its gate job as a child, below a `fan` job when
 * there are more consumers; each further consumer holds a parked `edge` job, which the fan job wakes.
 */
export function buildFlow(plan: RunPlan, take: FlowTake): FlowJob {
  const flow = new FlowBuilder(plan, take).run();
  const delay = take.generation > 0 || plan.startAt === undefined ? 0 : Date.parse(plan.startAt) - Date.now();
  return delay > 0 ? delayed(flow, delay) : flow;
}

/** What waits for nothing else waits for its time; links between phases only tell what has happened. */
function delayed(job: FlowJob, delay: number): FlowJob {
  const { children = [] } = job;
  if (children.length > 0) return { ...job, children: children.map((next) => delayed(next, delay)) };
  return job.queueName === QUEUES.edges ? job : { ...job, opts: { ...job.opts, delay } };
}

class FlowBuilder {
  readonly #plan: RunPlan;
  readonly #take: FlowTake;
  readonly #of: RunTake;
  readonly #phases: ReadonlyMap<string, PlannedPhase>;
  readonly #consumers: ReadonlyMap<string, readonly Consumer[]>;
  /** Phases whose gate job hangs directly below the run job: below its consumers the tree would become too deep. */
  readonly #apart: ReadonlySet<string>;
  readonly #common: Omit<RunJob, 'workflow'>;
  readonly #mark: string;

  constructor(plan: RunPlan, take: FlowTake) {
    this.#plan = plan;
    this.#take = take;
    const { runId } = plan;
    const { generation } = take;
    this.#of = { runId, generation };
    // Instances are added below the gate job of their phase, when its list is known.
    const phases = plan.phases.filter((phase) => take.phases.has(phase.name) && phase.instance === undefined);
    this.#phases = new Map(phases.map((phase) => [phase.name, phase]));
    this.#consumers = consumersOf(phases, take);
    this.#apart = tooDeep(phases, this.#consumers);
    const simulated = isSimulatedRun(plan);
    this.#common = { schemaVersion: 1, runId, generation, simulated };
    this.#mark = originMark({ simulated, replayed: isReplayedRun(plan) });
  }

  run(): FlowJob {
    const roots = [...this.#phases.values()].filter((phase) => !this.#consumers.has(phase.name));
    return {
      name: `${this.#plan.workflow} run${this.#mark}`,
      queueName: QUEUES.runs,
      data: {
        ...this.#common,
        workflow: this.#plan.workflow,
        ...(this.#plan.concurrency === undefined ? {} : { places: true }),
      } satisfies RunJob,
      opts: {
        jobId: jobIds.run(this.#of),
        removeOnComplete: KEEP,
        removeOnFail: KEEP,
        ...priorityOf(this.#plan),
        ...CONTROL_ATTEMPTS,
      },
      children: [
        ...roots.map((phase) => this.#gate(phase)),
        ...[...this.#apart].map((name) => this.#fan(name, this.#consumers.get(name) ?? [])),
      ],
    };
  }

  #startOf(phase: PlannedPhase): PhaseStart {
    return this.#take.phases.get(phase.name) ?? FRESH;
  }

  #gate(phase: PlannedPhase): FlowJob {
    const { given, done } = this.#startOf(phase);
    return {
      name: `${phase.name} gate${this.#mark}`,
      queueName: QUEUES.gates,
      data: {
        ...this.#common,
        phase: phase.name,
        ...(phase.concurrency === undefined || phase.repeat !== undefined ? {} : { places: true }),
        given,
        done: [...done],
        ...this.#startsOfInstances(phase),
        measured: null,
      } satisfies GateJob,
      opts: child(this.#plan, { jobId: jobIds.gate(this.#of, phase.name), ...GATE_ATTEMPTS }),
      children:
        phase.repeat === undefined
          ? workersOf(phase, this.#take).map((persona) => this.#work(phase, persona))
          : waitersOf(phase).flatMap((persona) => this.#links({ phase, persona })),
    };
  }

  #work(phase: PlannedPhase, persona: string): FlowJob {
    const { round, base, evidence } = this.#startOf(phase);
    const { name, attempts } = phase;
    return {
      name: `${name}: ${persona}${this.#mark}`,
      queueName: personaQueue(persona),
      data: {
        ...this.#common,
        phase: name,
        persona,
        kind: 'work',
        round,
        metrics: [],
        base,
        evidence,
      } satisfies PersonaJob,
      opts: child(this.#plan, {
        jobId: jobIds.work(this.#of, name, persona, round),
        attempts,
        backoff: { type: 'exponential', delay: 1_000, jitter: 0.5 },
      }),
      children: this.#links({ phase, persona }),
    };
  }

  #startsOfInstances({ name, repeat }: PlannedPhase): Pick<GateJob, 'starts'> {
    if (repeat === undefined) return {};
    const again = this.#plan.phases.flatMap(({ name: instance, instance: made }): [string, PhaseStart][] => {
      const start = made?.of === name ? this.#take.phases.get(instance) : undefined;
      return start === undefined ? [] : [[instance, start]];
    });
    return again.length === 0 ? {} : { starts: Object.fromEntries(again) };
  }

  /** What has passed before needs nobody to wait for it: its work is there. */
  #links(to: Consumer): FlowJob[] {
    return to.phase.needs.filter((need) => this.#phases.has(need)).map((need) => this.#link(need, to));
  }

  /** What a consumer waits for: the first one holds the gate job itself, the others an edge. */
  #link(from: string, to: Consumer): FlowJob {
    const [first, ...others] = this.#consumers.get(from) ?? [];
    if (this.#apart.has(from) || first?.phase !== to.phase || first.persona !== to.persona) return this.#edge(from, to);
    return others.length === 0 ? this.#gate(this.#planned(from)) : this.#fan(from, others);
  }

  #planned(name: string): PlannedPhase {
    const phase = this.#phases.get(name);
    if (phase === undefined) throw new FleetError('INTERNAL', `phase "${name}" is not in the plan`);
    return phase;
  }

  #fan(from: string, others: readonly Consumer[]): FlowJob {
    return {
      name: `${from} done, wake ${others.length} more${this.#mark}`,
      queueName: QUEUES.edges,
      data: { ...this.#common, kind: 'fan', from } satisfies EdgeJob,
      opts: child(this.#plan, { jobId: jobIds.fan(this.#of, from), ...CONTROL_ATTEMPTS }),
      children: [this.#gate(this.#planned(from))],
    };
  }

  #edge(from: string, to: Consumer): FlowJob {
    return {
      name: `${from} -> ${to.phase.name}${this.#mark}`,
      queueName: QUEUES.edges,
      data: { ...this.#common, kind: 'edge', from, to: to.phase.name, persona: to.persona } satisfies EdgeJob,
      opts: child(this.#plan, {
        jobId: jobIds.edge(this.#of, from, to.phase.name, to.persona),
        delay: EDGE_SAFETY_MS,
        ...CONTROL_ATTEMPTS,
      }),
    };
  }
}

/** The personas that have something to do when the phase begins. */
function workersOf(phase: PlannedPhase, take: FlowTake): string[] {
  if (phase.repeat !== undefined) return [...waitersOf(phase)];
  const { given, done } = take.phases.get(phase.name) ?? FRESH;
  return given === null ? phase.personas.filter((name) => !done.some((result) => result.persona === name)) : [];
}

/** Who waits for each phase, in the order of the plan. */
function consumersOf(phases: readonly PlannedPhase[], take: FlowTake): Map<string, Consumer[]> {
  const consumers = new Map<string, Consumer[]>();
  for (const phase of phases) {
    for (const persona of workersOf(phase, take)) {
      for (const need of phase.needs.filter((name) => take.phases.has(name))) {
        const list = consumers.get(need) ?? [];
        list.push({ phase, persona });
        consumers.set(need, list);
      }
    }
  }
  return consumers;
}

/**
 * The phases that are to hang apart. A gate job and the work below it take two levels, a fan job one more.
 * Phases come after what they need, so the heights below are known.
 */
function tooDeep(
  phases: readonly PlannedPhase[],
  consumers: ReadonlyMap<string, readonly Consumer[]>,
): ReadonlySet<string> {
  const heights = new Map<string, number>();
  const apart = new Set<string>();
  for (const phase of phases) {
    let height = 2;
    for (const need of phase.needs) {
      const [first, ...others] = consumers.get(need) ?? [];
      if (first?.phase !== phase) continue;
      const below = (heights.get(need) ?? 0) + (others.length > 0 ? 1 : 0);
      // Above the phase there are its own fan job and the run job.
      if (below + 2 > MOST_LEVELS - 2) apart.add(need);
      else height = Math.max(height, below + 2);
    }
    heights.set(phase.name, height);
  }
  return apart;
}

/** How many jobs the flow adds. */
export const countJobs = (job: FlowJob): number =>
  1 + (job.children ?? []).reduce((sum, next) => sum + countJobs(next), 0);
