import type { RunEvent } from '../../src/shared/run-record.ts';

/** What is wrong with one part of a request: `body.inputs.NAME`. */
export interface PartError {
  path: string;
  message: string;
}

/** What the service said no to: one line of its own, and what may be done about it. */
export class Refusal extends Error {
  readonly status: number;
  readonly remedy: string;
  readonly errors: readonly PartError[];
  constructor(status: number, message: string, remedy: string, errors: readonly PartError[] = []) {
    super(message);
    this.status = status;
    this.remedy = remedy;
    this.errors = errors;
  }
}

interface ProblemBody {
  detail?: string;
  remedy?: string;
  errors?: PartError[];
}

/** Who may not do a thing is told so in words, whatever the service calls it. */
const ACCESS: Partial<Record<number, string>> = {
  401: 'You are not signed in, or your token has ended',
  403: 'Your token does not allow this',
  429: 'Too many requests: wait a little and try again',
};

/** Asks the service. What it answers is typed by the schemas that it answers by; nothing is checked twice here. */
interface Asking extends RequestInit {
  headers?: Record<string, string>;
}

export async function ask<T>(path: string, options: Asking = {}): Promise<T> {
  const headers = { accept: 'application/json', 'content-type': 'application/json', ...options.headers };
  const response = await fetch(path, { ...options, headers }).catch(() => {
    throw new Refusal(0, 'The service does not answer.', 'It is asked again as soon as it is back.');
  });
  if (!response.ok) {
    const problem = await jsonOf<ProblemBody>(response).catch((): ProblemBody => ({}));
    const access = ACCESS[response.status];
    const detail = problem.detail ?? `HTTP ${response.status}`;
    const line = access === undefined ? detail : `${access} (${detail}).`;
    throw new Refusal(response.status, line, problem.remedy ?? '', problem.errors);
  }
  return jsonOf<T>(response);
}

export const post = <T>(path: string, body: unknown, headers: Record<string, string> = {}): Promise<T> =>
  ask<T>(path, { method: 'POST', body: JSON.stringify(body), headers });

/** A refusal as one text, with what may be done about it. */
export const refusalText = (err: unknown): string =>
  err instanceof Refusal && err.remedy !== '' ? `${err.message} ${err.remedy}` : messageOf(err);

async function jsonOf<T>(response: Response): Promise<T> {
  // oxlint-disable-next-line typescript/no-unsafe-return -- the server answers by the very schemas these types are of
  return response.json();
}

export function eventOf(text: string): RunEvent {
  // oxlint-disable-next-line typescript/no-unsafe-return -- as above: what the server sends is typed where it is made
  return JSON.parse(text);
}

export const messageOf = (err: unknown): string => (err instanceof Error ? err.message : String(err));
