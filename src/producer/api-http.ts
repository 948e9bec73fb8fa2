import { setTimeout as sleep } from 'node:timers/promises';
import { timeLimit } from '../shared/time-limit.ts';
import { z } from 'zod';
import { FleetError, errorMessage, isErrorCode } from '../shared/errors.ts';
import { Problem } from './api-schemas.ts';
import { type ServerSentEvent, readServerSentEvents } from './server-sent-events.ts';

export interface ClientOptions {
  /** E.g. `http://127.0.0.1:4000`. */
  baseUrl: string;
  token?: string;
  /** For one request and its answer; event streams have no limit. */
  timeoutMs?: number;
  /** How often a request that may be repeated is made again when the server does not answer or is too busy. */
  retries?: number;
}

interface Ask {
  method?: 'GET' | 'POST';
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Whether asking twice does no harm; a GET never does. */
  isRepeatable?: boolean;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_RETRIES = 3;
const PAUSE_MS = 200;
const LONGEST_WAIT_MS = 60_000;

/** Requests to a Maestro Fleet server. Throws `FleetError` with the code that the server gave. */
export class ApiHttp {
  readonly #base: string;
  readonly #headers: Record<string, string>;
  readonly #timeoutMs: number;
  readonly #retries: number;

  constructor({ baseUrl, token, timeoutMs = DEFAULT_TIMEOUT_MS, retries = DEFAULT_RETRIES }: ClientOptions) {
    this.#base = baseUrl.replace(/\/+$/, '');
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    this.#timeoutMs = timeoutMs;
    this.#retries = retries;
  }

  async json<S extends z.ZodType>(path: string, schema: S, ask: Ask = {}): Promise<z.infer<S>> {
    return parseTolerantly(schema, await this.#repeated(path, ask, (response) => response.json()));
  }

  async bytes(path: string): Promise<Uint8Array> {
    const accept = { headers: { accept: '*/*' } };
    return this.#repeated(path, accept, async (response) => new Uint8Array(await response.arrayBuffer()));
  }

  /** One connection to a stream of events; it ends when the server ends it. */
  async *events(path: string, last: string, signal: AbortSignal | undefined): AsyncGenerator<ServerSentEvent> {
    const headers = { accept: 'text/event-stream', ...(last === '' ? {} : { 'last-event-id': last }) };
    const response = await this.#fetch(path, { headers, ...(signal === undefined ? {} : { signal }) });
    if (response.status === 204 || response.body === null) return;
    try {
      yield* readServerSentEvents(response.body);
    } catch (err) {
      throw unavailable(this.#base, err);
    }
  }

  async #repeated<T>(path: string, ask: Ask, read: (response: Response) => Promise<T>): Promise<T> {
    const { method = 'GET', isRepeatable = method === 'GET' } = ask;
    for (let failures = 0; ; failures += 1) {
      const limit = timeLimit(this.#timeoutMs, ask.signal);
      try {
        return await read(await this.#fetch(path, { ...ask, signal: limit.signal }));
      } catch (err) {
        ask.signal?.throwIfAborted();
        const known = err instanceof FleetError ? err : unavailable(this.#base, err);
        if (!known.retry || !isRepeatable || failures >= this.#retries) throw known;
        const pause = z.number().safeParse(known.details['retryAfterMs']).data ?? PAUSE_MS * 2 ** failures;
        if (pause > LONGEST_WAIT_MS) throw known;
        await sleep(pause, undefined, ask.signal === undefined ? {} : { signal: ask.signal });
      } finally {
        limit.end();
      }
    }
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

/** What a newer server says beyond what this client knows is left out; anything else that is not as expected throws. */
export function parseTolerantly<S extends z.ZodType>(schema: S, document: unknown): z.infer<S> {
  const parsed = schema.safeParse(document);
  if (parsed.success) return parsed.data;
  const copy: unknown = structuredClone(document);
  for (const issue of parsed.error.issues)
    if (issue.code === 'unrecognized_keys') for (const key of issue.keys) removeAt(copy, [...issue.path, key]);
  return schema.parse(copy);
}

function removeAt(document: unknown, path: readonly PropertyKey[]): void {
  const [key, ...rest] = path;
  if (typeof document !== 'object' || document === null || key === undefined) return;
  if (rest.length === 0) Reflect.deleteProperty(document, key);
  else removeAt(Reflect.get(document, key), rest);
}

const unavailable = (base: string, err: unknown): FleetError =>
  new FleetError('API_UNAVAILABLE', `the server at ${base} does not answer: ${errorMessage(err)}`, {
    cause: err,
    retry: true,
    remedy: 'Start it with `maestro serve`, or correct the address.',
  });

async function problemOf(response: Response): Promise<FleetError> {
  const text = await response.text();
  const isProblem = response.headers.get('content-type')?.startsWith('application/problem+json') === true;
  const problem = isProblem ? Problem.safeParse(JSON.parse(text)) : undefined;
  const { code = 'INTERNAL', detail = `HTTP ${response.status}`, remedy } = problem?.data ?? {};
  return new FleetError(isErrorCode(code) ? code : 'INTERNAL', detail, {
    retry: response.status >= 500 || response.status === 429,
    ...(remedy === undefined ? {} : { remedy }),
    details: { status: response.status, errors: problem?.data?.errors, ...retryAfter(response) },
  });
}

/** How long the server asks to wait. */
function retryAfter(response: Response): { retryAfterMs?: number } {
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? { retryAfterMs: seconds * 1_000 } : {};
}
