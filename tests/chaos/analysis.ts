import { TERMINAL_PHASE } from '../../src/shared/run-record.ts';
import type { Entry } from './journal.ts';

/** What the journal tells of a time under faults. */
export interface Analysis {
  /** Kills of a worker that held a job. */
  killsThatHit: number;
  /** Connections broken under a worker that held a job, and answers that were swallowed. */
  cutsThatHit: number;
  repliesLost: number;
  redisKills: number;
  /** Times a worker was out of reach past its lock (frozen or cut off) and another one took over its job. */
  takeovers: number;
  /** The same, when the one that came back tried to commit and was refused. */
  refusals: number;
  /** The same, for workers that were stopped in the middle of a commit. */
  refusalsInCommit: number;
  /** From the kill of a worker to the next attempt at a job it held, in milliseconds; without those that Redis itself held up. */
  pickUps: number[];
  attempts: number;
  /** Attempts beyond the first at the same try of a job: what a fault made somebody do, and pay for, again. */
  repeated: number;
  problems: string[];
}

interface Absence {
  worker: string;
  jobs: ReadonlySet<string>;
  isInCommit: boolean;
  isTaken: boolean;
  isRefused: boolean;
}

const AWAY = ['freeze', 'freeze in commit', 'partition'];

/** Reads the journal, in order and in pieces. */
export class Analyst {
  readonly #open = new Map<string, Set<string>>();
  #absences: Absence[] = [];
  readonly #orphans = new Map<string, number>();
  readonly found: Analysis = {
    killsThatHit: 0,
    cutsThatHit: 0,
    repliesLost: 0,
    redisKills: 0,
    takeovers: 0,
    refusals: 0,
    refusalsInCommit: 0,
    pickUps: [],
    attempts: 0,
    repeated: 0,
    problems: [],
  };

  read(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.kind === 'fault') this.#fault(entry);
      else if (entry.job !== undefined) this.#attempt(entry, entry.job);
    }
  }

  #jobsOf(worker: string): Set<string> {
    const jobs = this.#open.get(worker) ?? new Set();
    this.#open.set(worker, jobs);
    return jobs;
  }

  #fault({ worker, fault = '', at }: Entry): void {
    const { found } = this;
    const jobs = this.#jobsOf(worker);
    if (AWAY.includes(fault)) {
      this.#absences = this.#absences.slice(-20);
      const isInCommit = fault === 'freeze in commit';
      this.#absences.push({ worker, jobs: new Set(jobs), isInCommit, isTaken: false, isRefused: false });
    }
    if (fault === 'kill') {
      if (jobs.size > 0) found.killsThatHit += 1;
      for (const job of jobs) this.#orphans.set(job, at);
      this.#open.delete(worker);
    }
    if (fault === 'cut' && jobs.size > 0) found.cutsThatHit += 1;
    if (fault === 'reply lost') found.repliesLost += 1;
    if (fault === 'redis killed') {
      found.redisKills += 1;
      // What had to wait for Redis says nothing about how fast workers are.
      this.#orphans.clear();
    }
  }

  #attempt(entry: Entry, job: string): void {
    const jobs = this.#jobsOf(entry.worker);
    if (entry.kind !== 'begin') {
      jobs.delete(job);
      if (entry.kind === 'stale') this.#refused(entry.worker, job);
      return;
    }
    const { found } = this;
    found.attempts += 1;
    const orphanedAt = this.#orphans.get(job);
    this.#orphans.delete(job);
    if (orphanedAt !== undefined) found.pickUps.push(entry.at - orphanedAt);
    const isTaken = [...this.#open.values()].some((held) => held.has(job));
    if (isTaken || orphanedAt !== undefined) found.repeated += 1;
    for (const absence of this.#absences) {
      if (absence.isTaken || absence.worker === entry.worker || !absence.jobs.has(job)) continue;
      absence.isTaken = true;
      found.takeovers += 1;
    }
    jobs.add(job);
    if (!entry.held) return;
    if (entry.completed) found.problems.push(`${job} began again after it had been completed`);
    if (TERMINAL_PHASE.some((status) => status === entry.status))
      found.problems.push(`${job} began after its phase had been recorded as ${entry.status}`);
  }

  #refused(worker: string, job: string): void {
    for (const absence of this.#absences) {
      if (absence.isRefused || !absence.isTaken || absence.worker !== worker || !absence.jobs.has(job)) continue;
      absence.isRefused = true;
      this.found.refusals += 1;
      if (absence.isInCommit) this.found.refusalsInCommit += 1;
    }
  }
}
