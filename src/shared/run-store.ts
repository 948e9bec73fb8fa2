import { z } from 'zod';
import { FleetError } from './errors.ts';
import { Approval } from './handoff.ts';
import type { RunId } from './names.ts';
import type { Redis } from './redis.ts';
import {
  NO_USAGE,
  type NewRunEvent,
  PhaseRecord,
  RunEvent,
  RunPlan,
  RunRecord,
  type RunStatus,
  addUsage,
} from './run-record.ts';
import { APPLY, CREATE, REOPEN } from './run-store-scripts.ts';

/** What is stored of a run; usage and the simulated mark are summed up from its phases when it is read. */
/** The same without the generation, which the scripts compare. */
const StoredRun = RunRecord.omit({ usage: true, generation: true });
type StoredRun = z.infer<typeof StoredRun>;

/**
 * A job's lock and the generation it belongs to: a write that carries them is refused once another attempt holds the
 * job, and once the run was taken up again.
 */
export interface Fence {
  lockKey: string;
  token: string;
  generation: number;
}

interface Change<T> {
  /** Null leaves everything as it is and appends nothing. */
  next: T;
  events: readonly NewRunEvent[];
}

export interface ParkedJob {
  queue: string;
  jobId: string;
}

export interface RunStanding {
  status: RunStatus;
  generation: number;
  budget: RunRecord['budget'];
}

interface RunPage {
  runs: RunRecord[];
  /** Pass as `before` to get the next page; null on the last. */
  next: RunId | null;
  /** Runs whose records this version cannot read: named, so that they are neither lost nor in the way of the others. */
  unreadable: string[];
}

/**
 * The truth about runs, in Redis: the plan (never changed), a record per run and phase, an append-only event log.
 * A record and the events that tell of its change are written in one step.
 */
export class RunStore {
  readonly #redis: Redis;
  readonly #prefix: string;

  constructor(redis: Redis, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
  }

  #key(runId: string, part?: string): string {
    return `${this.#prefix}:maestro:run:${runId}${part === undefined ? '' : `:${part}`}`;
  }

  /** The stream that holds a run's events; entry ids are `<seq>-0`. */
  eventsKey(runId: RunId): string {
    return this.#key(runId, 'events');
  }

  /** The fence of a BullMQ job held under a lock token. */
  fence(queue: string, jobId: string, token: string, generation: number): Fence {
    return { lockKey: `${this.#prefix}:${queue}:${jobId}:lock`, token, generation };
  }

  /** Stores plan and records of a new run. Returns false, and changes nothing, when the run exists. */
  async createRun(plan: RunPlan): Promise<boolean> {
    const simulated = plan.provider === 'scripted';
    const run: StoredRun = {
      runId: plan.runId,
      workflow: plan.workflow,
      status: 'queued',
      reason: '',
      provider: plan.provider,
      simulated,
      createdAt: plan.createdAt,
      startedAt: null,
      finishedAt: null,
    };
    const phases = plan.phases.flatMap((phase) => [phase.name, JSON.stringify(newPhase(phase.name, simulated))]);
    const event: NewRunEvent = { type: 'run.queued', workflow: plan.workflow, simulated };
    const created = await this.#redis.eval(
      CREATE,
      4,
      this.#key(plan.runId),
      this.#key(plan.runId, 'phases'),
      this.#key(plan.runId, 'events'),
      `${this.#prefix}:maestro:runs`,
      plan.runId,
      JSON.stringify(plan),
      JSON.stringify(run),
      String(Date.parse(plan.createdAt)),
      JSON.stringify({ ...event, at: plan.createdAt }),
      ...phases,
    );
    return created === 1;
  }

  async findPlan(runId: string): Promise<RunPlan | undefined> {
    const raw = await this.#redis.hget(this.#key(runId), 'plan');
    return raw === null ? undefined : RunPlan.parse(JSON.parse(raw));
  }

  async getPlan(runId: string): Promise<RunPlan> {
    const plan = await this.findPlan(runId);
    if (plan === undefined) throw noSuchRun(runId);
    return plan;
  }

  async getPhases(runId: string): Promise<PhaseRecord[]> {
    const plan = await this.getPlan(runId);
    const raw = await this.#redis.hgetall(this.#key(runId, 'phases'));
    return plan.phases.map((phase) => PhaseRecord.parse(JSON.parse(raw[phase.name] ?? 'null')));
  }

  async getPhase(runId: string, phase: string): Promise<PhaseRecord> {
    const raw = await this.#redis.hget(this.#key(runId, 'phases'), phase);
    if (raw === null) throw new FleetError('NOT_FOUND', `run ${runId} has no phase "${phase}"`);
    return PhaseRecord.parse(JSON.parse(raw));
  }

  /** The run's status and generation alone: one small read. */
  async getStanding(runId: string): Promise<RunStanding | undefined> {
    const [raw, generation] = await this.#redis.hmget(this.#key(runId), 'run', 'generation');
    if (raw === null || raw === undefined) return undefined;
    const { status, budget } = StoredRun.parse(JSON.parse(raw));
    return { status, budget, generation: Number(generation ?? 0) };
  }

  async getRun(runId: string): Promise<RunRecord> {
    const [raw, generation] = await this.#redis.hmget(this.#key(runId), 'run', 'generation');
    if (raw === null || raw === undefined) throw noSuchRun(runId);
    const run = StoredRun.parse(JSON.parse(raw));
    const phases = await this.getPhases(runId);
    return {
      ...run,
      generation: Number(generation ?? 0),
      simulated: run.simulated || phases.some((phase) => phase.simulated),
      usage: phases.reduce((sum, phase) => addUsage(sum, phase.usage), NO_USAGE),
    };
  }

  /** Newest first. */
  async listRuns(options: {
    limit: number;
    before?: string;
    statuses?: readonly RunStatus[];
    workflow?: string;
  }): Promise<RunPage> {
    const ids = await this.#redis.zrevrange(`${this.#prefix}:maestro:runs`, 0, -1);
    const start = options.before === undefined ? 0 : ids.indexOf(options.before) + 1;
    const runs: RunRecord[] = [];
    const unreadable: string[] = [];
    for (const id of ids.slice(start)) {
      const run = await this.getRun(id).catch((err: unknown) => {
        if (!(err instanceof z.ZodError)) throw err;
        unreadable.push(id);
      });
      if (run === undefined) continue;
      if (options.statuses !== undefined && !options.statuses.includes(run.status)) continue;
      if (options.workflow !== undefined && run.workflow !== options.workflow) continue;
      if (runs.length === options.limit) return { runs, next: runs.at(-1)?.runId ?? null, unreadable };
      runs.push(run);
    }
    return { runs, next: null, unreadable };
  }

  /**
   * Changes a run's record and appends the events that tell of it, in one step; repeated when somebody else was faster.
   * `change` returns null when there is nothing to do. Returns whether it changed anything.
   */
  updateRun(runId: RunId, change: (run: StoredRun) => Change<StoredRun> | null, fence?: Fence): Promise<boolean> {
    return this.#update(runId, this.#key(runId), 'run', StoredRun, change, fence);
  }

  /** The same for the record of one phase. */
  updatePhase(
    runId: RunId,
    phase: string,
    change: (record: PhaseRecord) => Change<PhaseRecord> | null,
    fence?: Fence,
  ): Promise<boolean> {
    return this.#update(runId, this.#key(runId, 'phases'), phase, PhaseRecord, change, fence);
  }

  async #update<T>(
    runId: RunId,
    key: string,
    field: string,
    schema: { parse(value: unknown): T },
    change: (record: T) => Change<T> | null,
    fence: Fence | undefined,
  ): Promise<boolean> {
    for (;;) {
      const before = await this.#redis.hget(key, field);
      if (before === null) throw new FleetError('NOT_FOUND', `run ${runId} has no record of "${field}"`);
      const changed = change(schema.parse(JSON.parse(before)));
      if (changed === null) return false;
      const after = JSON.stringify(schema.parse(changed.next));
      if (await this.#apply(runId, { key, field, before, after }, changed.events, fence)) return true;
    }
  }

  /**
   * Opens an ended run for its next generation: run record, the records of the phases that are run again, and the event
   * that tells of it, in one step. Returns false, and changes nothing, when the run is not as `change` found it any more.
   */
  async reopen(
    runId: RunId,
    from: number,
    of: { change: (run: StoredRun) => StoredRun; phases: readonly PhaseRecord[]; reason: string },
  ): Promise<boolean> {
    const key = this.#key(runId);
    const before = await this.#redis.hget(key, 'run');
    if (before === null) throw noSuchRun(runId);
    const names = of.phases.map((phase) => phase.phase);
    const event: NewRunEvent = { type: 'run.resumed', generation: from + 1, phases: names, reason: of.reason };
    const reply = await this.#redis.eval(
      REOPEN,
      3,
      key,
      this.#key(runId, 'phases'),
      this.#key(runId, 'events'),
      before,
      JSON.stringify(StoredRun.parse(of.change(StoredRun.parse(JSON.parse(before))))),
      String(from),
      JSON.stringify({ ...event, at: new Date().toISOString() }),
      ...of.phases.flatMap((phase) => [phase.phase, JSON.stringify(PhaseRecord.parse(phase))]),
    );
    return reply === 1;
  }

  /** Notes that a job of the run waits without a worker, for whoever changes what it waits for. */
  async noteParked(runId: RunId, job: ParkedJob): Promise<void> {
    await this.#redis.sadd(this.#key(runId, 'parked'), `${job.queue}|${job.jobId}`);
  }

  /** The jobs of the run that were parked, and may have woken since; they are no longer noted afterwards. */
  async takeParked(runId: RunId): Promise<ParkedJob[]> {
    const noted = await this.#redis.smembers(this.#key(runId, 'parked'));
    if (noted.length > 0) await this.#redis.srem(this.#key(runId, 'parked'), ...noted);
    return noted.map((entry) => {
      const [queue = '', jobId = ''] = entry.split('|');
      return { queue, jobId };
    });
  }

  /** Appends events that change no record. */
  async append(runId: RunId, events: readonly NewRunEvent[], fence?: Fence): Promise<void> {
    await this.#apply(runId, { key: this.#key(runId), field: '', before: '', after: '' }, events, fence);
  }

  async #apply(
    runId: RunId,
    write: { key: string; field: string; before: string; after: string },
    events: readonly NewRunEvent[],
    fence: Fence | undefined,
  ): Promise<boolean> {
    const at = new Date().toISOString();
    const reply = await this.#redis.eval(
      APPLY,
      4,
      write.key,
      this.#key(runId),
      this.#key(runId, 'events'),
      fence?.lockKey ?? this.#key(runId),
      write.field,
      write.before,
      write.after,
      fence?.token ?? '',
      fence === undefined ? '' : String(fence.generation),
      ...events.map((event) => JSON.stringify({ ...event, at })),
    );
    if (reply === 'STALE') {
      throw new FleetError(
        'STALE_ATTEMPT',
        `another attempt holds this job of run ${runId}, or the run was taken up again; this one may not write any more`,
      );
    }
    return reply === 'OK';
  }

  /** Events after `afterSeq`, oldest first. With `blockMs` it waits that long for the first one (needs its own connection). */
  async readEvents(
    runId: RunId,
    afterSeq: number,
    options: { count?: number; blockMs?: number } = {},
  ): Promise<RunEvent[]> {
    const count = options.count ?? 500;
    const key = this.#key(runId, 'events');
    const reply =
      options.blockMs === undefined
        ? await this.#redis.xread('COUNT', count, 'STREAMS', key, `${afterSeq}-0`)
        : await this.#redis.xread('COUNT', count, 'BLOCK', options.blockMs, 'STREAMS', key, `${afterSeq}-0`);
    const entries = reply?.[0]?.[1] ?? [];
    return entries.map(([id, fields]) => {
      const body: unknown = JSON.parse(fields[1] ?? 'null');
      return RunEvent.parse({ ...z.looseObject({}).parse(body), runId, seq: Number(id.split('-')[0]) });
    });
  }

  /** Records a decision. The newest decision on a phase, role and round is the one that counts. */
  async recordApproval(runId: RunId, approval: Approval, fence?: Fence): Promise<void> {
    const key = this.#key(runId, 'approvals');
    const field = `${approval.phase}/${approval.role}/${approval.round}`;
    for (;;) {
      const before = (await this.#redis.hget(key, field)) ?? '';
      const write = { key, field, before, after: JSON.stringify(approval) };
      if (await this.#apply(runId, write, [{ type: 'approval.recorded', approval }], fence)) return;
    }
  }

  async getApprovals(runId: RunId): Promise<Approval[]> {
    const raw = await this.#redis.hvals(this.#key(runId, 'approvals'));
    return raw.map((text) => Approval.parse(JSON.parse(text))).toSorted((a, b) => a.at.localeCompare(b.at));
  }
}

const noSuchRun = (runId: string): FleetError =>
  new FleetError('NOT_FOUND', `there is no run ${runId}`, { remedy: 'List the runs with `maestro runs`.' });

const newPhase = (phase: string, simulated: boolean): PhaseRecord => ({
  phase,
  status: 'waiting',
  reason: '',
  round: 0,
  firstRound: 0,
  rounds: [],
  commit: null,
  bundle: null,
  handoffs: {},
  transcripts: {},
  usage: NO_USAGE,
  simulated,
  startedAt: null,
  finishedAt: null,
});
