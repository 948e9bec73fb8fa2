import type { RunEvent } from '../../src/shared/run-record.ts';

/** What the service said no to: one line of its own, and what may be done about it. */
export class Refusal extends Error {
  readonly status: number;
  readonly remedy: string;
  constructor(status: number, message: string, remedy: string) {
    super(message);
    this.status = status;
    this.remedy = remedy;
  }
}

interface ProblemBody {
  detail?: string;
  remedy?: string;
}

/** Who may not do a thing is told so in words, whatever the service calls it. */
const ACCESS: Partial<Record<number, string>> = {
  401: 'You are not signed in, or your token has ended',
  403: 'Your token does not allow this',
  429: 'Too many requests: wait a little and try again',
};

/** Asks the service. What it answers is typed by the schemas that it answers by; nothing is checked twice here. */
export async function ask<T>(path: string, options: RequestInit = {}): Promise<T> {
  const headers = { accept: 'application/json', 'content-type': 'application/json' };
  const response = await fetch(path, { headers, ...options }).catch(() => {
    throw new Refusal(0, 'The service does not answer.', 'It is asked again as soon as it is back.');
  });
  if (!response.ok) {
    const problem = await jsonOf<ProblemBody>(response).catch((): ProblemBody => ({}));
    const access = ACCESS[response.status];
    const detail = problem.detail ?? `HTTP ${response.status}`;
    throw new Refusal(response.status, access === undefined ? detail : `${access} (${detail}).`, problem.remedy ?? '');
  }
  return jsonOf<T>(response);
}

export const post = <T>(path: string, body: unknown): Promise<T> =>
  ask<T>(path, { method: 'POST', body: JSON.stringify(body) });

async function jsonOf<T>(response: Response): Promise<T> {
  // oxlint-disable-next-line typescript/no-unsafe-return -- the server answers by the very schemas these types are of
  return response.json();
}

export function eventOf(text: string): RunEvent {
  // oxlint-disable-next-line typescript/no-unsafe-return -- as above: what the server sends is typed where it is made
  return JSON.parse(text);
}

export const messageOf = (err: unknown): string => (err instanceof Error ? err.message : String(err));
