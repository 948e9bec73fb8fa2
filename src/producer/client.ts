import { setTimeout as sleep } from 'node:timers/promises';
import type { z } from 'zod';
import { Approval } from '../shared/handoff.ts';
import { type ErrorCode, ERROR_EXITS, FleetError, errorMessage } from '../shared/errors.ts';
import { Question } from '../shared/question.ts';
import { RunEvent, type RunRecord, type RunStatus } from '../shared/run-record.ts';
import {
  type AnswerRequest,
  type ApprovalRequest,
  CancelResponse,
  type ExecuteRequest,
  ExecuteResponse,
  PauseResponse,
  Problem,
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
import { readServerSentEvents } from './server-sent-events.ts';

export interface ClientOptions {
  /** E.g. `http://127.0.0.1:4000`. */
  baseUrl: string;
  token?: string;
  /** For one request and its answer; event streams have no limit. */
  timeoutMs?: number;
}

interface Ask {
  method?: 'GET' | 'POST';
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const MOST_FAILURES_IN_A_ROW = 10;
const LONGEST_PAUSE_MS = 5_000;

/** Talks to a Maestro Fleet server. Throws `FleetError` with the code that the server gave. */
export class MaestroClient {
  readonly #base: string;
  readonly #headers: Record<string, string>;
  readonly #timeoutMs: number;

  constructor({ baseUrl, token, timeoutMs = DEFAULT_TIMEOUT_MS }: ClientOptions) {
    this.#base = baseUrl.replace(/\/+$/, '');
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    this.#timeoutMs = timeoutMs;
  }

  workflows(): Promise<WorkflowList> {
    return this.#json('/api/workflows', WorkflowList);
  }

  /** Starts a run. With the same key and request, asking again gives the same run. */
  execute(
    workflow: string,
    request: ExecuteRequest = {},
    options: { idempotencyKey?: string } = {},
  ): Promise<ExecuteResponse> {
    const { idempotencyKey } = options;
    return this.#json(`/api/workflows/${encodeURIComponent(workflow)}/execute`, ExecuteResponse, {
      method: 'POST',
      body: request,
      headers: idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey },
    });
  }

  /** One page of runs, newest first; pass its `next` as `cursor` for the page after it. */
  runs(
    options: { cursor?: string; limit?: number; status?: readonly RunStatus[]; workflow?: string } = {},
  ): Promise<RunList> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(options)) query.set(name, String(value));
    return this.#json(`/api/runs?${query.toString()}`, RunList);
  }

  get(runId: string): Promise<RunDetail> {
    return this.#json(this.#run(runId), RunDetail);
  }

  gates(runId: string): Promise<RunGates> {
    return this.#json(this.#run(runId, 'gates'), RunGates);
  }

  report(runId: string): Promise<RunReport> {
    return this.#json(this.#run(runId, 'report'), RunReport);
  }

  evidence(runId: string): Promise<RunEvidence> {
    return this.#json(this.#run(runId, 'evidence'), RunEvidence);
  }

  artifacts(runId: string): Promise<RunArtifacts> {
    return this.#json(this.#run(runId, 'artifacts'), RunArtifacts);
  }

  approve(runId: string, phase: string, request: ApprovalRequest): Promise<Approval> {
    const path = this.#run(runId, `approvals/${encodeURIComponent(phase)}`);
    return this.#json(path, Approval, { method: 'POST', body: request });
  }

  /** Answers what a persona asked a person. */
  answer(runId: string, questionId: string, request: AnswerRequest): Promise<Question> {
    const path = this.#run(runId, `questions/${encodeURIComponent(questionId)}`);
    return this.#json(path, Question, { method: 'POST', body: request });
  }

  cancel(runId: string, reason?: string): Promise<CancelResponse> {
    const body = reason === undefined ? {} : { reason };
    return this.#json(this.#run(runId, 'cancel'), CancelResponse, { method: 'POST', body });
  }

  /** Pauses a run: nothing new starts. */
  pause(runId: string, reason?: string): Promise<PauseResponse> {
    const body = reason === undefined ? {} : { reason };
    return this.#json(this.#run(runId, 'pause'), PauseResponse, { method: 'POST', body });
  }

  /** Lets a run go on: a paused one, or what did not pass of one that ended. */
  resume(runId: string, request: ResumeRequest = {}): Promise<ResumeResponse> {
    return this.#json(this.#run(runId, 'resume'), ResumeResponse, { method: 'POST', body: request });
  }

  /** Runs one phase again, or all from a phase onward. */
  retry(runId: string, request: RetryRequest): Promise<ResumeResponse> {
    return this.#json(this.#run(runId, 'retry'), ResumeResponse, { method: 'POST', body: request });
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
    { fromSeq = 0, signal }: { fromSeq?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<RunEvent> {
    const verdicts = new Set<string>();
    let lastSeq = fromSeq;
    let failures = 0;
    const isAborted = (): boolean => signal?.aborted === true;
    while (!isAborted()) {
      try {
        for await (const data of this.#connect(runId, lastSeq, signal)) {
          const event = RunEvent.parse(JSON.parse(data));
          failures = 0;
          lastSeq = event.seq;
          // A verdict may come ahead of the log, and once more from it after a reconnection.
          const key = event.type === 'gate.verdict' ? `${event.phase}/${event.round}` : undefined;
          if (key !== undefined && verdicts.has(key)) continue;
          if (key !== undefined) verdicts.add(key);
          yield event;
        }
        if ((await this.#hasEnded(runId)) && lastSeq > 0) return;
      } catch (err) {
        if (isAborted()) return;
        const isLost = err instanceof FleetError && err.retry;
        if (!isLost || failures >= MOST_FAILURES_IN_A_ROW) throw err;
      }
      failures += 1;
      await sleep(Math.min(LONGEST_PAUSE_MS, 100 * 2 ** failures));
    }
  }

  async #hasEnded(runId: string): Promise<boolean> {
    return (await this.get(runId)).run.finishedAt !== null;
  }

  async *#connect(runId: string, lastSeq: number, signal: AbortSignal | undefined): AsyncGenerator<string> {
    const headers = { accept: 'text/event-stream', 'last-event-id': String(lastSeq) };
    const response = await this.#fetch(this.#run(runId, 'events'), {
      headers,
      ...(signal === undefined ? {} : { signal }),
    });
    if (response.status === 204 || response.body === null) return;
    try {
      for await (const { data } of readServerSentEvents(response.body)) yield data;
    } catch (err) {
      throw unavailable(this.#base, err);
    }
  }

  #run(runId: string, part?: string): string {
    return `/api/runs/${encodeURIComponent(runId)}${part === undefined ? '' : `/${part}`}`;
  }

  async #json<S extends z.ZodType>(path: string, schema: S, ask: Ask = {}): Promise<z.infer<S>> {
    const response = await this.#fetch(path, { ...ask, signal: AbortSignal.timeout(this.#timeoutMs) });
    return schema.parse(await response.json());
  }

  async #fetch(path: string, { method = 'GET', body, headers = {}, signal }: Ask): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(`${this.#base}${path}`, {
        method,
        headers: {
          accept: 'application/json',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...this.#headers,
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (err) {
      throw unavailable(this.#base, err);
    }
    if (response.ok) return response;
    throw await problemOf(response);
  }
}

const unavailable = (base: string, err: unknown): FleetError =>
  new FleetError('API_UNAVAILABLE', `the server at ${base} does not answer: ${errorMessage(err)}`, {
    cause: err,
    retry: true,
    remedy: 'Start it with `maestro serve`, or correct the address.',
  });

const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(ERROR_EXITS, code);

async function problemOf(response: Response): Promise<FleetError> {
  const text = await response.text();
  const isProblem = response.headers.get('content-type')?.startsWith('application/problem+json') === true;
  const problem = isProblem ? Problem.safeParse(JSON.parse(text)) : undefined;
  const { code = 'INTERNAL', detail = `HTTP ${response.status}`, remedy } = problem?.data ?? {};
  return new FleetError(isErrorCode(code) ? code : 'INTERNAL', detail, {
    retry: response.status >= 500,
    ...(remedy === undefined ? {} : { remedy }),
    details: { status: response.status, errors: problem?.data?.errors },
  });
}
