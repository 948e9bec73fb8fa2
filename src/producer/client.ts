import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { Approval } from '../shared/handoff.ts';
import { FleetError } from '../shared/errors.ts';
import { Question } from '../shared/question.ts';
import { RunEvent, type RunRecord, type RunStatus } from '../shared/run-record.ts';
import {
  type AnswerRequest,
  type ApprovalRequest,
  CancelResponse,
  type ExecuteRequest,
  ExecuteResponse,
  FleetEvent,
  PauseResponse,
  type ResumeRequest,
  ResumeResponse,
  type RetryRequest,
  RunArtifacts,
  RunDetail,
  RunEvidence,
  RunGates,
  RunList,
  RunReport,
  WorkflowList,
} from './api-schemas.ts';
import { ApiHttp, type ClientOptions, parseTolerantly } from './api-http.ts';
import { RunFiles } from './files-schemas.ts';
import type { ServerSentEvent } from './server-sent-events.ts';

const MOST_FAILURES_IN_A_ROW = 10;
const LONGEST_PAUSE_MS = 5_000;

export { FleetError } from '../shared/errors.ts';
export type { ClientOptions } from './api-http.ts';
export type { FleetEvent } from './api-schemas.ts';
export type { RunEvent, RunRecord } from '../shared/run-record.ts';

interface RunFilter {
  status?: readonly RunStatus[];
  workflow?: string;
  persona?: string;
  /** Runs with a phase that stands at this verdict now. */
  verdict?: 'passed' | 'passed_with_warnings' | 'blocked' | 'not_gated';
  /** Made at this time or later, and before that one; such as 2027-01-31T18:00:00Z. */
  from?: string;
  to?: string;
}
interface Abortable {
  signal?: AbortSignal;
}

/** Talks to a Maestro Fleet server. Throws `FleetError` with the code that the server gave. */
export class MaestroClient {
  readonly #http: ApiHttp;

  constructor(options: ClientOptions) {
    this.#http = new ApiHttp(options);
  }

  workflows(): Promise<WorkflowList> {
    return this.#http.json('/api/workflows', WorkflowList);
  }

  /** Starts a run. With the same key and request, asking again gives the same run. */
  execute(
    workflow: string,
    request: ExecuteRequest = {},
    options: Abortable & { idempotencyKey?: string } = {},
  ): Promise<ExecuteResponse> {
    const { idempotencyKey, ...abortable } = options;
    return this.#http.json(`/api/workflows/${encodeURIComponent(workflow)}/execute`, ExecuteResponse, {
      method: 'POST',
      body: request,
      headers: idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey },
      // Without a key, asking again would be another run.
      isRepeatable: idempotencyKey !== undefined,
      ...abortable,
    });
  }

  /** One page of runs, newest first; pass its `next` as `cursor` for the page after it. */
  runs(options: RunFilter & { cursor?: string; limit?: number } = {}): Promise<RunList> {
    return this.#http.json(`/api/runs${queryOf(options)}`, RunList);
  }

  /** All runs, newest first, page by page. */
  async *allRuns(options: RunFilter = {}): AsyncGenerator<RunRecord> {
    for (let cursor: string | null = ''; cursor !== null;) {
      const page: RunList = await this.runs({ ...options, limit: 200, ...(cursor === '' ? {} : { cursor }) });
      yield* page.runs;
      cursor = page.next;
    }
  }

  get(runId: string): Promise<RunDetail> {
    return this.#http.json(this.#run(runId), RunDetail);
  }

  gates(runId: string): Promise<RunGates> {
    return this.#http.json(this.#run(runId, 'gates'), RunGates);
  }

  report(runId: string): Promise<RunReport> {
    return this.#http.json(this.#run(runId, 'report'), RunReport);
  }

  evidence(runId: string): Promise<RunEvidence> {
    return this.#http.json(this.#run(runId, 'evidence'), RunEvidence);
  }

  /** The signed evidence of an ended run with all that it rests on, as `maestro verify FILE` takes it. */
  sealedEvidence(runId: string): Promise<Uint8Array> {
    return this.#http.bytes(this.#run(runId, 'evidence.jsonl'));
  }

  /** The files that a run, or one of its phases, has handed on. */
  files(runId: string, options: { phase?: string } = {}): Promise<RunFiles> {
    return this.#http.json(`${this.#run(runId, 'files')}${queryOf(options)}`, RunFiles);
  }

  /** One of these files, byte for byte. */
  file(runId: string, path: string, options: { phase?: string } = {}): Promise<Uint8Array> {
    const parts = path.split('/').map(encodeURIComponent).join('/');
    return this.#http.bytes(`${this.#run(runId, 'files')}/${parts}${queryOf(options)}`);
  }

  /** All of them: a zip archive, or a git bundle that `git clone` takes. */
  archive(runId: string, kind: 'zip' | 'bundle', options: { phase?: string } = {}): Promise<Uint8Array> {
    return this.#http.bytes(`${this.#run(runId, `files.${kind}`)}${queryOf(options)}`);
  }

  artifacts(runId: string): Promise<RunArtifacts> {
    return this.#http.json(this.#run(runId, 'artifacts'), RunArtifacts);
  }

  approve(runId: string, phase: string, request: ApprovalRequest): Promise<Approval> {
    const path = this.#run(runId, `approvals/${encodeURIComponent(phase)}`);
    return this.#http.json(path, Approval, { method: 'POST', body: request });
  }

  /** Answers what a persona asked a person. */
  answer(runId: string, questionId: string, request: AnswerRequest): Promise<Question> {
    const path = this.#run(runId, `questions/${encodeURIComponent(questionId)}`);
    return this.#http.json(path, Question, { method: 'POST', body: request });
  }

  cancel(runId: string, reason?: string): Promise<CancelResponse> {
    const body = reason === undefined ? {} : { reason };
    return this.#http.json(this.#run(runId, 'cancel'), CancelResponse, { method: 'POST', body });
  }

  /** Pauses a run: nothing new starts. */
  pause(runId: string, reason?: string): Promise<PauseResponse> {
    const body = reason === undefined ? {} : { reason };
    return this.#http.json(this.#run(runId, 'pause'), PauseResponse, { method: 'POST', body });
  }

  /** Lets a run go on: a paused one, or what did not pass of one that ended. */
  resume(runId: string, request: ResumeRequest = {}): Promise<ResumeResponse> {
    return this.#http.json(this.#run(runId, 'resume'), ResumeResponse, { method: 'POST', body: request });
  }

  /** Runs one phase again, or all from a phase onward. */
  retry(runId: string, request: RetryRequest): Promise<ResumeResponse> {
    return this.#http.json(this.#run(runId, 'retry'), ResumeResponse, { method: 'POST', body: request });
  }

  /** Waits until a run has ended, and returns its record. */
  async wait(runId: string, options: { signal?: AbortSignal } = {}): Promise<RunRecord> {
    for await (const _ of this.events(runId, options)) void 0;
    options.signal?.throwIfAborted();
    return (await this.get(runId)).run;
  }

  /** A run's events from the first (or after `fromSeq`) until it has ended. A lost connection is taken up again. */
  async *events(
    runId: string,
    { fromSeq = 0, signal }: Abortable & { fromSeq?: number } = {},
  ): AsyncGenerator<RunEvent> {
    const verdicts = new Set<string>();
    let lastSeq = fromSeq;
    const path = this.#run(runId, 'events');
    const hasEnded = async (): Promise<boolean> => lastSeq > 0 && (await this.get(runId)).run.finishedAt !== null;
    for await (const { id, data } of this.#stream(path, { from: String(lastSeq), signal, hasEnded })) {
      lastSeq = Number(id);
      const event = knownEvent(RunEvent, data);
      if (event === undefined) continue;
      // A verdict may come ahead of the log, and once more from it after a reconnection.
      const key = event.type === 'gate.verdict' ? `${event.phase}/${event.round}` : undefined;
      if (key !== undefined && verdicts.has(key)) continue;
      if (key !== undefined) verdicts.add(key);
      yield event;
    }
  }

  /**
   * What happens to all runs, from now on or after the `cursor` of an event ('0': all that is kept), until the signal
   * is aborted. A lost connection is taken up again.
   */
  async *fleetEvents(
    options: Abortable & { types?: readonly RunEvent['type'][]; workflow?: string; cursor?: string } = {},
  ): AsyncGenerator<FleetEvent> {
    const { signal, cursor = '', ...filter } = options;
    const path = `/api/events${queryOf(filter)}`;
    for await (const { event: type, data } of this.#stream(path, { from: cursor, signal })) {
      if (type === 'log.trimmed')
        throw new FleetError('NOT_FOUND', `the server no longer keeps what came after ${cursor}`, {
          remedy: "Look at the runs, and listen again with the cursor '0' or with none.",
        });
      const event = knownEvent(FleetEvent, data);
      if (event !== undefined) yield event;
    }
  }

  /** A stream of events, taken up again after the last one whenever it breaks off. */
  async *#stream(
    path: string,
    of: { from: string; signal: AbortSignal | undefined; hasEnded?: () => Promise<boolean> },
  ): AsyncGenerator<ServerSentEvent> {
    const { signal, hasEnded } = of;
    const isAborted = (): boolean => signal?.aborted === true;
    let last = of.from;
    for (let failures = 0; !isAborted();) {
      try {
        for await (const event of this.#http.events(path, last, signal)) {
          failures = 0;
          if (event.id !== '') last = event.id;
          yield event;
        }
        if (await hasEnded?.()) return;
      } catch (err) {
        if (isAborted()) return;
        const isLost = err instanceof FleetError && err.retry;
        if (!isLost || failures >= MOST_FAILURES_IN_A_ROW) throw err;
      }
      failures += 1;
      const pause = Math.min(LONGEST_PAUSE_MS, 100 * 2 ** failures);
      await sleep(pause, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
    }
  }

  #run(runId: string, part?: string): string {
    return `/api/runs/${encodeURIComponent(runId)}${part === undefined ? '' : `/${part}`}`;
  }
}

/** An event without what only a newer server knows of it; undefined for one of a kind that this client does not know. */
function knownEvent<S extends z.ZodType>(schema: S, data: string): z.infer<S> | undefined {
  try {
    return parseTolerantly(schema, JSON.parse(data));
  } catch (err) {
    if (err instanceof z.ZodError) return undefined;
    throw err;
  }
}

function queryOf(options: object): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(options)) if (value !== undefined) query.set(name, `${value}`);
  return query.size === 0 ? '' : `?${query.toString()}`;
}
