/** Uses a service as its API document describes it: makes things, and finds them again. */
import { objectOf } from '../collectors/documents/openapi-document.ts';
import { type ApiOperation, Contract, buildCall } from './run-contract.ts';
import type { Answer, Call, HttpClient } from './run-http.ts';

const HEALTH_PATHS = ['/health', '/healthz'];

export const seenOf = (answer: Answer): string =>
  answer.status === 0 ? (answer.error ?? 'no answer') : `status ${answer.status}`;

/** The first path that answers 200, or null. */
export async function findHealthPath(client: HttpClient): Promise<string | null> {
  for (const path of HEALTH_PATHS) {
    const answer = await client.send({ method: 'GET', path });
    if (answer.status === 200) return path;
  }
  return null;
}

/** An operation with a request that it should answer. */
export interface PreparedCall {
  operation: ApiOperation;
  call: Call;
}

/** Remembers what answers named, so that later calls name things that exist. */
export class ApiUser {
  readonly #contract: Contract | undefined;
  readonly #known = new Map<string, string>();

  constructor(document: Record<string, unknown> | null) {
    this.#contract = document === null ? undefined : new Contract(document);
  }

  get operations(): readonly ApiOperation[] {
    const order = ['post', 'get', 'head', 'options', 'put', 'patch', 'delete'];
    return (this.#contract?.operations ?? []).toSorted(
      (a, b) => order.indexOf(a.method) - order.indexOf(b.method) || a.path.length - b.path.length,
    );
  }

  /** A request for the operation, or undefined when one of its parameters has no example. */
  prepare(operation: ApiOperation): PreparedCall | undefined {
    const call = buildCall(operation, this.#known);
    return 'missing' in call ? undefined : { operation, call };
  }

  /** Sends a request; empty problems mean that the answer keeps the contract and is no refusal. */
  async send(client: HttpClient, { operation, call }: PreparedCall): Promise<{ answer: Answer; problems: string[] }> {
    const answer = await client.send(call);
    const problems = (this.#contract?.check(operation, answer) ?? []).map(({ message }) => message);
    if (problems.length === 0 && answer.status >= 400) problems.push(`answered ${answer.status} to its own example`);
    if (problems.length === 0 && call.method === 'POST') this.#learn(answer);
    return { answer, problems };
  }

  #learn(answer: Answer): void {
    if (!/[/+]json\b/.test(answer.headers['content-type'] ?? '')) return;
    for (const [name, value] of Object.entries(objectOf(JSON.parse(answer.body)))) {
      if (typeof value === 'string' || typeof value === 'number') this.#known.set(name.toLowerCase(), String(value));
    }
  }
}
