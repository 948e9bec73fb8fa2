import type { Redis } from './redis.ts';
import { type PhaseStatus, RunStatus, TERMINAL_RUN } from './run-record.ts';

/** One change of an index, made by the script that changes the record it tells of. */
export interface IndexChange {
  key: string;
  member: string;
  /** Empty takes the member out. */
  score: string;
}

/** What the indexes know of a run. */
interface IndexedRun {
  runId: string;
  workflow: string;
  personas?: readonly string[] | undefined;
  status: RunStatus;
  finishedAt: string | null;
}

/** Defines `index`, for scripts: makes the changes of a JSON list; '' is no change. */
export const INDEX_SCRIPT = `
local function index(changes)
  if changes == '' then return end
  for _, change in ipairs(cjson.decode(changes)) do
    if change.score == '' then redis.call('ZREM', change.key, change.member)
    else redis.call('ZADD', change.key, change.score, change.member) end
  end
end
`;

/** Index changes as the argument that \`index\` takes. */
export const indexArgument = (changes: readonly IndexChange[]): string =>
  changes.length === 0 ? '' : JSON.stringify(changes);

const PAGE = 200;

/**
 * Which runs stand where, so that nobody has to read every run: a set per status, one of the runs that have ended by
 * the time they ended, and one of the phases that failed. Members begin with the run id and sort by it, so by age.
 */
export class RunIndex {
  readonly #redis: Redis;
  readonly #prefix: string;

  constructor(redis: Redis, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
  }

  #key(name: RunStatus | 'ended' | 'dead'): string {
    return `${this.#prefix}:maestro:runs:${name}`;
  }

  /** What a run's record becoming `after` changes; null stands for no run. */
  ofRun(before: IndexedRun | null, after: IndexedRun | null): IndexChange[] {
    const member = ({ runId, workflow, personas }: IndexedRun): string =>
      `${runId} ${workflow}${personas === undefined ? '' : ` ${personas.join(',')}`}`;
    const out = (run: IndexedRun): IndexChange[] => [
      { key: this.#key(run.status), member: member(run), score: '' },
      ...(TERMINAL_RUN.includes(run.status) ? [{ key: this.#key('ended'), member: member(run), score: '' }] : []),
    ];
    const into = (run: IndexedRun): IndexChange[] => {
      const endedAt = String(Date.parse(run.finishedAt ?? new Date().toISOString()));
      return [
        { key: this.#key(run.status), member: member(run), score: '0' },
        ...(TERMINAL_RUN.includes(run.status)
          ? [{ key: this.#key('ended'), member: member(run), score: endedAt }]
          : []),
      ];
    };
    if (before !== null && before.status === after?.status) return [];
    return [...(before === null ? [] : out(before)), ...(after === null ? [] : into(after))];
  }

  /** What a phase becoming `after` changes: a phase that has failed is a dead letter until it is run again. */
  ofPhase(runId: string, phase: string, before: PhaseStatus, after: PhaseStatus | null): IndexChange[] {
    const [was, is] = [before === 'failed', after === 'failed'];
    if (was === is) return [];
    return [{ key: this.#key('dead'), member: `${runId} ${phase}`, score: is ? '0' : '' }];
  }

  async counts(): Promise<Record<RunStatus, number>> {
    const cards = await Promise.all(RunStatus.options.map((status) => this.#redis.zcard(this.#key(status))));
    const count = (status: RunStatus): number => cards[RunStatus.options.indexOf(status)] ?? 0;
    return {
      queued: count('queued'),
      running: count('running'),
      awaiting_approval: count('awaiting_approval'),
      paused: count('paused'),
      passed: count('passed'),
      passed_with_warnings: count('passed_with_warnings'),
      blocked: count('blocked'),
      failed: count('failed'),
      cancelled: count('cancelled'),
    };
  }

  /** Ids of runs with these statuses, newest first, older than `before`. */
  async *ids(of: {
    statuses?: readonly RunStatus[] | undefined;
    before?: string | undefined;
    workflow?: string | undefined;
    /** Runs of which the index does not know who has a part in them are among the answers. */
    persona?: string | undefined;
  }): AsyncGenerator<string> {
    const statuses = of.statuses ?? RunStatus.options;
    const sources = statuses.map((status) => ({ key: this.#key(status), page: new Array<string>(), isDone: false }));
    let last = of.before;
    for (;;) {
      const max = last === undefined ? '+' : `(${last}`;
      for (const source of sources) {
        if (source.page.length > 0 || source.isDone) continue;
        source.page = await this.#redis.zrevrangebylex(source.key, max, '-', 'LIMIT', 0, PAGE);
        source.isDone = source.page.length < PAGE;
      }
      const newest = sources.reduce((best, source) => ((source.page[0] ?? '') > (best?.page[0] ?? '') ? source : best));
      const member = newest.page.shift();
      if (member === undefined) return;
      const [runId = '', workflow, personas] = member.split(' ');
      // A run that changed its status while it was listed stands in two pages.
      if (last !== undefined && runId >= last) continue;
      last = runId;
      const isTheirs = of.persona === undefined || personas === undefined || personas.split(',').includes(of.persona);
      if (isTheirs && (of.workflow === undefined || of.workflow === workflow)) yield runId;
    }
  }

  /** The next ids, oldest first, of runs that have not ended: for a sweep that goes on where the last one stopped. */
  async unended(after: string | undefined, limit: number): Promise<string[]> {
    const statuses = RunStatus.options.filter((status) => !TERMINAL_RUN.includes(status));
    // What follows the run id in a member is no higher than `~`.
    const min = after === undefined ? '-' : `(${after}~`;
    const pages = await Promise.all(
      statuses.map((status) => this.#redis.zrangebylex(this.#key(status), min, '+', 'LIMIT', 0, limit)),
    );
    return [...new Set(pages.flat().map(idOf))].toSorted().slice(0, limit);
  }

  /** Ended runs that are to leave: ended before `before`, or beyond the newest `keep`; the longest ended first. */
  async due(of: { before: number; keep: number; settled: number; limit: number }): Promise<string[]> {
    const key = this.#key('ended');
    const tooMany = (await this.#redis.zcard(key)) - of.keep;
    const [old, over] = await Promise.all([
      this.#redis.zrangebyscore(key, '-inf', of.before, 'LIMIT', 0, of.limit),
      tooMany > 0 ? this.#redis.zrange(key, '0', String(Math.min(tooMany, of.limit) - 1), 'WITHSCORES') : [],
    ]);
    const surplus = over.filter((_, at) => at % 2 === 0 && Number(over[at + 1]) <= of.settled);
    return [...new Set([...old, ...surplus].map(idOf))].slice(0, of.limit);
  }

  /** Phases that failed, of runs that are still in Redis. */
  async dead(): Promise<{ runId: string; phase: string }[]> {
    const members = await this.#redis.zrevrange(this.#key('dead'), 0, -1);
    return members.map((member) => {
      const [runId = '', phase = ''] = member.split(' ');
      return { runId, phase };
    });
  }
}

const idOf = (member: string): string => member.split(' ')[0] ?? '';
