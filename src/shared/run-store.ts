import type { ArchivedRun, RunArchive } from './archive.ts';
import { FleetError } from './errors.ts';
import { fleetLogKey } from './fleet-log.ts';
import { Approval } from './handoff.ts';
import type { RunId, RunTake } from './names.ts';
import type { Question } from './question.ts';
import { Recent } from './recent.ts';
import type { Redis } from './redis.ts';
import { RedisScript } from './redis-script.ts';
import {
  NO_USAGE,
  type NewRunEvent,
  PhaseRecord,
  type RunEvent,
  RunPlan,
  type RunRecord,
  StoredRun,
  addUsage,
  isReplayedRun,
  replayedMark,
  isSimulatedRun,
} from './run-record.ts';
import { type RunStanding, newPhase, noSuchRun, parseEvent, parseQuestion, seqOf } from './run-entries.ts';
import { type IndexChange, RunIndex, indexArgument } from './run-index.ts';
import { runKey } from './run-keys.ts';
import { type RunFilter, type RunPage, listRuns, personasOf } from './run-list.ts';
import { leftOut, leftOutRecord } from './start-from.ts';
import { APPLY, CREATE, REOPEN, type Write, applyArguments } from './run-store-scripts.ts';
import { assertKnownVersion } from './schema-version.ts';

/**
 * A job's lock and the generation it belongs to: a write that carries them is refused once another attempt holds the
 * job, and once the run was taken up again.
 */
export interface Fence {
  lockKey: string;
  token: string;
  generation: number;
}

const SCRIPTS = { create: new RedisScript(CREATE), apply: new RedisScript(APPLY), reopen: new RedisScript(REOPEN) };

/** How many plans and records a process remembers. */
const PLANS = 200;
const RECORDS = 500;

interface Change<T> {
  /** Null leaves everything as it is and appends nothing. */
  next: T;
  events: readonly NewRunEvent[];
  /** Questions as they are from the same step on. */
  questions?: readonly Question[];
}

export interface ParkedJob {
  queue: string;
  jobId: string;
}

/**
 * The truth about runs, in Redis: the plan (never changed), a record per run and phase, an append-only event log.
 * A record and the events that tell of its change are written in one step.
 */
export class RunStore {
  readonly #redis: Redis;
  readonly #prefix: string;
  /** A plan that cannot grow never changes, so it is read and checked once. */
  readonly #plans = new Recent<RunPlan>(PLANS);
  /** Records as this process saw them last, in full: a write begins from there, and is refused when they have changed. */
  readonly #seen = new Recent<string>(RECORDS);
  readonly index: RunIndex;
  /** Where runs are read that have left Redis; without one they are not found. */
  readonly archive: RunArchive | undefined;

  constructor(redis: Redis, prefix: string, archive?: RunArchive) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.index = new RunIndex(redis, prefix);
    this.archive = archive;
  }

  #key(runId: string, part?: Parameters<typeof runKey>[2]): string {
    return runKey(this.#prefix, runId, part);
  }

  /** Run hash, phases hash, events stream and the fleet's log, as the scripts take them. */
  #runKeys(runId: string): string[] {
    return [this.#key(runId), this.#key(runId, 'phases'), this.#key(runId, 'events'), fleetLogKey(this.#prefix)];
  }

  /** One field of a run's hashes, wherever the run is. */
  async #field(runId: string, part: 'run' | 'phases', field: string): Promise<string | null> {
    const key = this.#key(runId, part === 'run' ? undefined : part);
    const raw = await this.#redis.hget(key, field);
    if (raw !== null && part === 'phases') this.#seen.set(`${key} ${field}`, raw);
    return raw ?? (await this.archive?.find(runId))?.hashes[part][field] ?? null;
  }

  async #runHash(runId: string): Promise<{ run?: string; generation?: string }> {
    const [run, generation] = await this.#redis.hmget(this.#key(runId), 'run', 'generation');
    if (typeof run !== 'string') return (await this.archive?.find(runId))?.hashes.run ?? {};
    return { run, ...(typeof generation === 'string' ? { generation } : {}) };
  }

  async #fields(runId: string, part: 'phases' | 'approvals' | 'questions'): Promise<Record<string, string>> {
    const raw = await this.#redis.hgetall(this.#key(runId, part));
    return Object.keys(raw).length > 0 ? raw : ((await this.#archived(runId))?.hashes[part] ?? {});
  }

  /** The run, when it is no longer in Redis. */
  async #archived(runId: string): Promise<ArchivedRun | undefined> {
    if (this.archive === undefined || (await this.#redis.exists(this.#key(runId))) === 1) return undefined;
    return this.archive.find(runId);
  }

  /** The stream that holds a run's events; entry ids are `<seq>-0`. */
  eventsKey(runId: RunId): string {
    return this.#key(runId, 'events');
  }

  /** The fence of a BullMQ job held under a lock token. */
  fence(queue: string, jobId: string, token: string, generation: number): Fence {
    return { lockKey: `${this.#prefix}:${queue}:${jobId}:lock`, token, generation };
  }

  /** The fence of whoever holds no job: a write is refused once the run was taken up again. */
  fenceOf({ runId, generation }: RunTake): Fence {
    return { lockKey: this.#key(runId), token: '', generation };
  }

  /** Stores plan and records of a new run. Returns false, and changes nothing, when the run exists. */
  async createRun(plan: RunPlan): Promise<boolean> {
    const simulated = isSimulatedRun(plan);
    const run: StoredRun = {
      runId: plan.runId,
      workflow: plan.workflow,
      personas: personasOf(plan),
      status: 'queued',
      reason: '',
      provider: plan.provider,
      simulated,
      ...replayedMark(isReplayedRun(plan)),
      createdAt: plan.createdAt,
      startedAt: null,
      finishedAt: null,
    };
    const notRun = leftOut(plan);
    const phases = plan.phases.flatMap(({ name }) => {
      const record = newPhase(name, simulated);
      return [name, JSON.stringify(notRun.has(name) ? leftOutRecord(record, plan) : record)];
    });
    const event: NewRunEvent = { type: 'run.queued', workflow: plan.workflow, simulated };
    if ((await this.archive?.find(plan.runId)) !== undefined) return false;
    const created = await SCRIPTS.create.run(this.#redis, this.#runKeys(plan.runId), [
      JSON.stringify(plan),
      JSON.stringify(run),
      indexArgument(this.index.ofRun(null, run)),
      JSON.stringify({ ...event, at: plan.createdAt }),
      plan.runId,
      ...phases,
    ]);
    return created === 1;
  }

  async findPlan(runId: string): Promise<RunPlan | undefined> {
    const raw = await this.#field(runId, 'run', 'plan');
    if (raw === null) return undefined;
    const plan: unknown = JSON.parse(raw);
    assertKnownVersion(`run ${runId}`, plan);
    return RunPlan.parse(plan);
  }

  async getPlan(runId: string): Promise<RunPlan> {
    const known = this.#plans.get(runId);
    if (known !== undefined) return known;
    const plan = await this.findPlan(runId);
    if (plan === undefined) throw noSuchRun(runId);
    // The instances of a repeated phase are added when its list is known.
    const mayGrow = plan.phases.some((phase) => phase.repeat !== undefined);
    if (!mayGrow) this.#plans.set(runId, plan);
    return plan;
  }

  async getPhases(runId: string): Promise<PhaseRecord[]> {
    const plan = await this.getPlan(runId);
    const raw = await this.#fields(runId, 'phases');
    if (Object.keys(raw).length === 0) throw noSuchRun(runId);
    return plan.phases.map((phase) => PhaseRecord.parse(JSON.parse(raw[phase.name] ?? 'null')));
  }

  async getPhase(runId: string, phase: string): Promise<PhaseRecord> {
    const raw = await this.#field(runId, 'phases', phase);
    if (raw === null) throw new FleetError('NOT_FOUND', `run ${runId} has no phase "${phase}"`);
    return PhaseRecord.parse(JSON.parse(raw));
  }

  /** The run's status and generation alone: one small read. */
  async getStanding(runId: string): Promise<RunStanding | undefined> {
    const { run: raw, generation } = await this.#runHash(runId);
    if (raw === undefined) return undefined;
    const { status, budget } = StoredRun.parse(JSON.parse(raw));
    return { status, budget, generation: Number(generation ?? 0) };
  }

  async getRun(runId: string): Promise<RunRecord> {
    const { run: raw, generation } = await this.#runHash(runId);
    if (raw === undefined) throw noSuchRun(runId);
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
  listRuns(options: RunFilter & { limit: number }): Promise<RunPage> {
    return listRuns({ index: this.index, archive: this.archive, store: this }, options);
  }

  /**
   * Changes a run's record and appends the events that tell of it, in one step; repeated when somebody else was faster.
   * `change` returns null when there is nothing to do. Returns whether it changed anything.
   */
  updateRun(runId: RunId, change: (run: StoredRun) => Change<StoredRun> | null, fence?: Fence): Promise<boolean> {
    const of = { part: 'run', field: 'run', schema: StoredRun } as const;
    return this.#update(runId, of, change, fence, (before, after) => this.index.ofRun(before, after));
  }

  /** The same for the record of one phase, and `withQuestions` for questions of the run that change with it. */
  updatePhase(
    runId: RunId,
    phase: string,
    change: (record: PhaseRecord, questions: readonly Question[]) => Change<PhaseRecord> | null,
    fence?: Fence,
    { withQuestions = false }: { withQuestions?: boolean } = {},
  ): Promise<boolean> {
    const of = { part: 'phases', field: phase, schema: PhaseRecord, withQuestions } as const;
    return this.#update(runId, of, change, fence, (before, after) =>
      this.index.ofPhase(runId, phase, before.status, after.status),
    );
  }

  async #update<T>(
    runId: RunId,
    of: { part: 'run' | 'phases'; field: string; schema: { parse(value: unknown): T }; withQuestions?: boolean },
    change: (record: T, questions: readonly Question[]) => Change<T> | null,
    fence: Fence | undefined,
    indexed: (before: T, after: T) => IndexChange[],
  ): Promise<boolean> {
    const { part, field, schema } = of;
    const key = this.#key(runId, part === 'run' ? undefined : part);
    const seenAs = `${key} ${field}`;
    for (let seen = this.#seen.get(seenAs); ; seen = undefined) {
      const before = seen ?? (await this.#field(runId, part, field));
      if (before === null) throw new FleetError('NOT_FOUND', `run ${runId} has no record of "${field}"`);
      const record = schema.parse(JSON.parse(before));
      // After the record: whoever asks changes both, so that a question that is missed here is a record that has changed.
      const asked = of.withQuestions === true ? await this.#redis.hgetall(this.#key(runId, 'questions')) : {};
      const changed = change(record, Object.values(asked).map(parseQuestion));
      if (changed === null) {
        // What was seen some time ago may have changed since.
        if (seen !== undefined) continue;
        return false;
      }
      const next = schema.parse(changed.next);
      const after = JSON.stringify(next);
      const questions = (changed.questions ?? []).map((one) => [one.id, asked[one.id] ?? '', JSON.stringify(one)]);
      const write = { key, field, before, after, changes: indexed(record, next), questions };
      const isDone = await this.#apply(runId, write, changed.events, fence);
      if (isDone && part === 'phases') this.#seen.set(seenAs, after);
      else this.#seen.delete(seenAs);
      if (isDone) return true;
    }
  }

  /** Adds phases to a plan, with their records; `grow` returns null when there is nothing to add. */
  async growPlan(runId: RunId, grow: (plan: RunPlan) => RunPlan | null, fence: Fence): Promise<void> {
    const grown = grow(await this.getPlan(runId));
    if (grown === null) return;
    // Records first: one without a phase in the plan is read by nobody, a phase without a record would be missed.
    const simulated = isSimulatedRun(grown);
    for (const { name } of grown.phases)
      await this.#redis.hsetnx(this.#key(runId, 'phases'), name, JSON.stringify(newPhase(name, simulated)));
    const of = { part: 'run', field: 'plan', schema: RunPlan } as const;
    const change = (plan: RunPlan): Change<RunPlan> | null => {
      const next = grow(plan);
      return next === null ? null : { next, events: [] };
    };
    await this.#update(runId, of, change, fence, () => []);
  }

  /**
   * Opens an ended run for its next generation: run record, the records of the phases that are run again, and the event
   * that tells of it, in one step. Returns false, and changes nothing, when anything was told of the run after `from`,
   * before which the records were read: an attempt that is being stopped may still note what it has spent.
   */
  async reopen(
    runId: RunId,
    from: { generation: number; seq: number },
    of: { change: (run: StoredRun) => StoredRun; phases: readonly PhaseRecord[]; reason: string },
  ): Promise<boolean> {
    const key = this.#key(runId);
    const before = await this.#redis.hget(key, 'run');
    if (before === null) throw await this.#gone(runId);
    const run = StoredRun.parse(JSON.parse(before));
    const after = StoredRun.parse(of.change(run));
    const changes = [
      ...this.index.ofRun(run, after),
      ...(await this.getPhases(runId)).flatMap((was) => {
        const is = of.phases.find((phase) => phase.phase === was.phase);
        return is === undefined ? [] : this.index.ofPhase(runId, was.phase, was.status, is.status);
      }),
    ];
    const names = of.phases.map((phase) => phase.phase);
    const event: NewRunEvent = {
      type: 'run.resumed',
      generation: from.generation + 1,
      phases: names,
      reason: of.reason,
    };
    const reply = await SCRIPTS.reopen.run(this.#redis, this.#runKeys(runId), [
      before,
      JSON.stringify(after),
      String(from.generation),
      String(from.seq),
      indexArgument(changes),
      JSON.stringify({ ...event, at: new Date().toISOString() }),
      runId,
      ...of.phases.flatMap((phase) => [phase.phase, JSON.stringify(PhaseRecord.parse(phase))]),
    ]);
    return reply === 1;
  }

  /** The number of the last event of a run that is in Redis; 0 otherwise. */
  async lastSeq(runId: RunId): Promise<number> {
    return Number((await this.#redis.hget(this.#key(runId), 'seq')) ?? 0);
  }

  /** Notes that a job of the run waits without a worker, for whoever changes what it waits for. */
  async noteParked(runId: RunId, job: ParkedJob): Promise<void> {
    await this.#redis.sadd(this.#key(runId, 'parked'), `${job.queue}|${job.jobId}`);
  }

  /**
   * The jobs of the run that were parked at some time. They stay noted: waking one that is awake does nothing, and
   * whoever dies between noting and waking loses nobody.
   */
  async parkedJobs(runId: RunId): Promise<ParkedJob[]> {
    const noted = await this.#redis.smembers(this.#key(runId, 'parked'));
    return noted.map((entry) => {
      const [queue = '', jobId = ''] = entry.split('|');
      return { queue, jobId };
    });
  }

  /** Appends events that change no record. */
  async append(runId: RunId, events: readonly NewRunEvent[], fence?: Fence): Promise<void> {
    await this.#apply(runId, { key: this.#key(runId), field: '', before: '', after: '', changes: [] }, events, fence);
  }

  async #apply(runId: RunId, write: Write, events: readonly NewRunEvent[], fence: Fence | undefined): Promise<boolean> {
    const key = (part?: 'events' | 'questions'): string => this.#key(runId, part);
    const lock = fence?.lockKey ?? key();
    const keys = [write.key, key(), key('events'), lock, fleetLogKey(this.#prefix), key('questions')];
    const reply = await SCRIPTS.apply.run(this.#redis, keys, applyArguments(write, { runId, events, fence }));
    if (reply === 'STALE') {
      throw new FleetError(
        'STALE_ATTEMPT',
        `another attempt holds this job of run ${runId}, or the run was taken up again; this one may not write any more`,
      );
    }
    if (reply === 'GONE') throw await this.#gone(runId);
    return reply === 'OK';
  }

  /** What is said of a change to a run that is not in Redis. */
  async #gone(runId: string): Promise<FleetError> {
    if ((await this.archive?.find(runId)) === undefined) return noSuchRun(runId);
    return new FleetError('CONFLICT', `run ${runId} is archived: it can be read, and not be changed`, {
      remedy: 'Start a new run.',
    });
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
    const entries = reply?.[0]?.[1].map(([id, fields]): [string, string] => [id, fields[1] ?? 'null']) ?? [];
    if (entries.length > 0) return entries.map(([id, body]) => parseEvent(runId, id, body));
    const events = (await this.#archived(runId))?.events ?? [];
    return events
      .filter(([id]) => seqOf(id) > afterSeq)
      .slice(0, count)
      .map(([id, body]) => parseEvent(runId, id, body));
  }

  /** When the log last told of something (of what `counts` says), in milliseconds; 0 when it never did. */
  async lastEventAt(runId: RunId, counts: (event: RunEvent) => boolean = () => true): Promise<number> {
    for (let end = '+'; ;) {
      const page = await this.#redis.xrevrange(this.#key(runId, 'events'), end, '-', 'COUNT', end === '+' ? 1 : 200);
      const found = page.map(([id, fields]) => parseEvent(runId, id, fields[1] ?? 'null')).find(counts);
      const oldest = page.at(-1)?.[0];
      if (found !== undefined || oldest === undefined) return found === undefined ? 0 : Date.parse(found.at);
      end = `(${oldest}`;
    }
  }

  /** Records a decision. The newest decision on a phase, role and round is the one that counts. */
  async recordApproval(runId: RunId, approval: Approval, fence?: Fence): Promise<void> {
    const field = `${approval.phase}/${approval.role}/${approval.round}`;
    const events = [{ type: 'approval.recorded', approval } as const];
    await this.#change(runId, 'approvals', field, () => ({ next: approval, events }), fence);
  }

  /** Changes one entry of a hash together with the events that tell of it; repeated when somebody else was faster. */
  async #change(
    runId: RunId,
    part: 'approvals' | 'questions',
    field: string,
    change: (before: string | null) => Change<unknown> | null,
    fence?: Fence,
  ): Promise<void> {
    const key = this.#key(runId, part);
    for (;;) {
      const before = await this.#redis.hget(key, field);
      const changed = change(before);
      if (changed === null) return;
      const write = { key, field, before: before ?? '', after: JSON.stringify(changed.next), changes: [] };
      if (await this.#apply(runId, write, changed.events, fence)) return;
    }
  }

  async getApprovals(runId: RunId): Promise<Approval[]> {
    const raw = await this.#fields(runId, 'approvals');
    return Object.values(raw)
      .map((text) => Approval.parse(JSON.parse(text)))
      .toSorted((a, b) => a.at.localeCompare(b.at));
  }

  /** Every question that personas of the run asked people, oldest first. */
  async getQuestions(runId: RunId): Promise<Question[]> {
    const raw = await this.#fields(runId, 'questions');
    return Object.values(raw)
      .map(parseQuestion)
      .toSorted((a, b) => a.askedAt.localeCompare(b.askedAt));
  }

  /** Asks, answers or withdraws a question. `change` returns null when there is nothing to do. */
  async updateQuestion(
    runId: RunId,
    id: string,
    change: (known: Question | null) => Change<Question> | null,
    fence?: Fence,
  ): Promise<void> {
    await this.#change(
      runId,
      'questions',
      id,
      (before) => change(before === null ? null : parseQuestion(before)),
      fence,
    );
  }
}
