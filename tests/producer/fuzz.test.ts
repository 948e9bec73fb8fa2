import { request as httpRequest } from 'node:http';
import { expect, it } from 'vitest';
import { Problem } from '../../src/producer/api-schemas.ts';
import { type ApiOperation, apiFixture, operationsOf } from './api-support.ts';
import { planOf } from './seed-run.ts';

const { url, store } = await apiFixture();
const operations = await operationsOf(url);
const plan = planOf(['design']);
await store.createRun(plan);

/** The same numbers on every run (mulberry32). */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
const next = numbers(20_260_101);
const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] ?? list[0] ?? fail();
const fail = (): never => {
  throw new Error('an empty list');
};

const NASTY = [
  '',
  '%00',
  '..%2f..%2fetc%2fpasswd',
  '%E0%A4%A',
  '%F0%9F%92%A9',
  '__proto__',
  'constructor',
  "'%20OR%201=1--",
  '%3Cscript%3E',
  'x'.repeat(3_000),
  '-1',
  '1e309',
  'NaN',
  '*',
  '%0d%0aSet-Cookie:a=b',
  '{id}',
  plan.runId,
];
const VALUES: readonly (() => unknown)[] = [
  () => null,
  () => true,
  () => -1,
  () => 1e308,
  () => '',
  () => 'x'.repeat(5_000),
  () => '\u0000\uffff\ud800',
  () => [],
  () => ({}),
  () => ['a', null, [[[]]]],
  () => ({ upload: '0'.repeat(64) }),
  () => ({ text: 1 }),
  () => ({ constructor: { prototype: {} } }),
  () => '2026-99-99T99:99:99Z',
  () => '${jndi:ldap://x}',
];
const KEYS = ['inputs', 'files', 'role', 'by', 'reason', 'phase', 'from', 'budget', 'url', 'events', 'text', 'name'];
const document = (): string => {
  const fields = Array.from({ length: 1 + Math.floor(next() * 4) }, (): [string, unknown] => [
    pick(KEYS),
    pick(VALUES)(),
  ]);
  return JSON.stringify(Object.fromEntries(fields));
};
const BODIES: readonly (() => string)[] = [
  document,
  document,
  document,
  () => document().slice(0, -1),
  () => '['.repeat(30_000),
  () => '{"__proto__":{"inputs":1}}',
  () => '\ufeff{}',
  () => 'name: [*a, &a b',
  () => '%PDF-1.7',
  () => '"text"',
  () => '',
];
const HEADERS: readonly Record<string, string>[] = [
  {},
  { 'content-type': 'application/json; charset=utf-7' },
  { 'content-type': 'multipart/form-data; boundary=' },
  { 'content-encoding': 'gzip' },
  { 'content-encoding': 'zstd, br, x' },
  { authorization: 'Basic %%%' },
  { authorization: `Bearer ${'x'.repeat(4_000)}` },
  { 'idempotency-key': ' '.repeat(300) },
  { 'last-event-id': '-99999999999999999999' },
  { 'x-request-id': '<script>' },
  { accept: 'nothing/at-all' },
  { range: 'bytes=9-1,-' },
  { 'if-none-match': '"' },
  { expect: '100-continue' },
  { origin: 'null' },
];

interface Answered {
  status: number;
  type: string;
  body: string;
}

function send(operation: ApiOperation): Promise<Answered & { asked: string }> {
  const parts = operation.path.replaceAll(/\{\w+\}/g, () => pick(NASTY));
  const names = operation.parameters.filter((one) => one.in === 'query').map(({ name }) => name);
  const query = Array.from(
    { length: Math.floor(next() * 3) },
    () => `${pick([...names, 'a[b]', '__proto__'])}=${pick(NASTY)}`,
  );
  const path = `${parts}${query.length === 0 ? '' : `?${query.join('&')}`}`;
  const method = next() < 0.1 ? pick(['PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND']) : operation.method;
  const body = method === 'GET' ? '' : pick(BODIES)();
  return new Promise((resolve, reject) => {
    const headers = { ...pick(HEADERS), 'content-length': String(Buffer.byteLength(body)) };
    const asked = `${method} ${path.slice(0, 200)} ${JSON.stringify(headers).slice(0, 100)} ${body.slice(0, 200)}`;
    const req = httpRequest(`${url}${path}`, { method, headers, agent: false }, (res) => {
      const type = res.headers['content-type'] ?? '';
      const done = (text: string): void => resolve({ status: res.statusCode ?? 0, type, body: text, asked });
      if (type.startsWith('text/event-stream')) {
        done('');
        req.destroy();
        return;
      }
      let text = '';
      res.on('data', (chunk: Buffer) => (text += chunk.toString())).on('end', () => done(text));
    });
    req.on('error', (err) => reject(new Error(`${asked}: ${err.message}`))).end(body);
  });
}

it('never answers malformed requests with a fault, and refuses with problem documents alone', async () => {
  const faults: string[] = [];
  let refused = 0;
  for (let round = 0; round < 25; round += 1)
    for (const operation of operations) {
      const { status, type, body, asked } = await send(operation);
      if (status >= 500) faults.push(`${status} for ${asked}: ${body.slice(0, 300)}`);
      if (status < 400) continue;
      refused += 1;
      const isProblem = type.startsWith('application/problem+json') && Problem.safeParse(JSON.parse(body)).success;
      if (!isProblem) faults.push(`${status} ${type} for ${asked}: ${body.slice(0, 200)}`);
    }
  expect(faults).toEqual([]);
  expect(refused).toBeGreaterThan(500);
});
