/** Exercises a service over a unix socket and prints one JSON report. */
import { readFileSync } from 'node:fs';
import { objectOf } from '../collectors/documents/openapi-document.ts';
import { type OperationReport, ServiceInput, type ServiceReport } from '../collectors/running/service-report.ts';
import { type ApiOperation, Contract, buildCall } from './run-contract.ts';
import { type Answer, type Call, HttpClient, waitForService } from './run-http.ts';

const READY_MS = 90_000;
const LABELS = /\{(?:[a-zA-Z_]\w*="(?:[^"\\]|\\.)*",?)*\}/.source;
const VALUE = /(?:[-+]?(?:\d[\d.eE+-]*|Inf)|NaN)(?:\s+-?\d+)?/.source;
const PROMETHEUS_LINE = new RegExp(`^[a-zA-Z_:][\\w:]*(?:${LABELS})?\\s+${VALUE}$`);

const input = ServiceInput.parse(JSON.parse(readFileSync(0, 'utf8')));
const client = new HttpClient(input.socket, input.load.concurrency);
const contract = input.document === null ? undefined : new Contract(input.document);

/** Values seen in answers, by lower-cased name: the path parameters of later calls. */
const known = new Map<string, string>();
/** Requests that kept the contract and may be repeated. */
const repeatable: Call[] = [];
const creators = new Map<string, Call>();

function learn(call: Call, answer: Answer): void {
  if (!/[/+]json\b/.test(answer.headers['content-type'] ?? '') || call.method !== 'POST') return;
  let body: unknown;
  try {
    body = JSON.parse(answer.body);
  } catch {
    return;
  }
  for (const [name, value] of Object.entries(objectOf(body))) {
    if (typeof value !== 'string' && typeof value !== 'number') continue;
    known.set(name.toLowerCase(), String(value));
    creators.set(name.toLowerCase(), call);
  }
}

async function callProperly(operation: ApiOperation, report: OperationReport): Promise<void> {
  const call = buildCall(operation, known);
  if ('missing' in call) {
    const names = call.missing.join(', ');
    report.problems.push({
      rule: 'no-example',
      message: `cannot be called: give its parameter ${names} an "example:" in the API document`,
    });
    return;
  }
  const answer = await client.send(call);
  report.calls += 1;
  report.implemented = answer.status !== 0 && ![404, 405, 501].includes(answer.status);
  const problems = contract?.check(operation, answer) ?? [];
  if (problems.length === 0 && answer.status >= 400) {
    problems.push({ rule: 'refused-example', message: `answered ${answer.status} to the example of its own document` });
  }
  report.problems.push(...problems);
  if (problems.length > 0) return;
  learn(call, answer);
  if (call.method === 'GET' || call.method === 'POST') repeatable.push(call);
}

/** Sends requests that must be refused, each in a documented way. */
async function callWrongly(operation: ApiOperation, report: OperationReport): Promise<void> {
  for (const body of contract?.invalidBodies(operation) ?? []) {
    const call = buildCall(operation, known, { body });
    if ('missing' in call) return;
    const answer = await client.send(call);
    report.calls += 1;
    const problems = contract?.check(operation, answer) ?? [];
    if (problems.length === 0 && (answer.status < 400 || answer.status > 499)) {
      problems.push({ rule: 'accepts-invalid', message: `answered ${answer.status} where a 4xx is due` });
    }
    report.problems.push(
      ...problems.map((problem) => ({ ...problem, message: `with the invalid body ${body}, ${problem.message}` })),
    );
  }
  const inPath = operation.parameters.filter((parameter) => parameter.place === 'path');
  const unknown = inPath.map((parameter) => [parameter.name, contract?.unknownValue(parameter)] as const);
  if (unknown.length === 0 || unknown.some(([, value]) => value === undefined)) return;
  const call = buildCall(operation, known, { path: new Map(unknown.map(([name, value]) => [name, String(value)])) });
  if ('missing' in call) return;
  const answer = await client.send(call);
  report.calls += 1;
  const problems = contract?.check(operation, answer) ?? [];
  report.problems.push(
    ...problems.map((problem) => ({
      ...problem,
      message: `for ${call.path}, which names nothing, ${problem.message}`,
    })),
  );
}

/** A deletion takes something made for it, so that it is not the example of another call. */
async function renew(operation: ApiOperation): Promise<void> {
  for (const parameter of operation.parameters) {
    const creator = creators.get(parameter.name.toLowerCase());
    if (parameter.place === 'path' && creator !== undefined) learn(creator, await client.send(creator));
  }
}

async function load(): Promise<ServiceReport['load']> {
  const times: number[] = [];
  let failed = 0;
  let next = 0;
  const startedAt = performance.now();
  const worker = async (): Promise<void> => {
    while (next < input.load.requests && performance.now() - startedAt < input.load.ms) {
      const call = repeatable[next % repeatable.length];
      next += 1;
      if (call === undefined) return;
      const answer = await client.send(call);
      times.push(answer.ms);
      if (answer.status === 0 || answer.status === 429 || answer.status >= 500) failed += 1;
    }
  };
  if (repeatable.length > 0) await Promise.all(Array.from({ length: input.load.concurrency }, worker));
  const sorted = times.toSorted((a, b) => a - b);
  const quantile = (share: number): number | null => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? null;
  return {
    sent: times.length,
    failed,
    medianMs: quantile(0.5),
    p95Ms: quantile(0.95),
    elapsedMs: performance.now() - startedAt,
  };
}

const seenOf = (answer: Answer): string =>
  answer.status === 0 ? (answer.error ?? 'no answer') : `status ${answer.status}`;

async function health(): Promise<ServiceReport['health']> {
  const seen: string[] = [];
  for (const path of ['/health', '/healthz']) {
    const answer = await client.send({ method: 'GET', path });
    if (answer.status === 200) return { path, seen: `GET ${path}: status 200` };
    seen.push(`GET ${path}: ${seenOf(answer)}`);
  }
  return { path: null, seen: seen.join(', ') };
}

async function metrics(): Promise<ServiceReport['metrics']> {
  const answer = await client.send({ method: 'GET', path: '/metrics' });
  const lines = answer.body
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  const samples = lines.filter((line) => PROMETHEUS_LINE.test(line)).length;
  const isText = /^(?:text\/plain|application\/openmetrics-text)/.test(answer.headers['content-type'] ?? '');
  const ok = answer.status === 200 && isText && samples > 0 && samples === lines.length;
  return { ok, samples, seen: `GET /metrics: ${seenOf(answer)}, ${samples} of ${lines.length} lines are samples` };
}

const emptyReport = ({ method, path }: ApiOperation): OperationReport => ({
  method,
  path,
  calls: 0,
  implemented: false,
  problems: [],
});

async function exercise(): Promise<ServiceReport> {
  const entries = (contract?.operations ?? []).map((operation) => ({ operation, report: emptyReport(operation) }));
  const order = ['post', 'get', 'head', 'options', 'put', 'patch', 'delete'];
  const rank = (entry: { operation: ApiOperation }): number => order.indexOf(entry.operation.method);
  const sorted = entries.toSorted((a, b) => rank(a) - rank(b) || a.operation.path.length - b.operation.path.length);
  const lasting = sorted.filter((entry) => entry.operation.method !== 'delete');
  const smoke: ServiceReport['smoke'] = [{ name: 'the service starts', ok: true, seen: 'it answers' }];
  const healthy = await health();
  smoke.push({ name: 'it says that it is healthy', ok: healthy.path !== null, seen: healthy.seen });
  for (const { operation, report } of lasting) await callProperly(operation, report);
  for (const { operation, report } of sorted) await callWrongly(operation, report);
  for (const { operation } of lasting.filter(
    (entry) => entry.operation.method === 'get' && entry.operation.parameters.length === 0,
  )) {
    const answer = await client.send({ method: 'GET', path: operation.path });
    smoke.push({ name: `GET ${operation.path}`, ok: answer.status > 0 && answer.status < 400, seen: seenOf(answer) });
  }
  const loaded = await load();
  for (const { operation, report } of sorted.filter((entry) => entry.operation.method === 'delete')) {
    await renew(operation);
    await callProperly(operation, report);
  }
  const metric = await metrics();
  const after = await client.send({ method: 'GET', path: healthy.path ?? '/' });
  smoke.push({
    name: 'it still answers after all calls',
    ok: after.status > 0 && after.status < 500,
    seen: seenOf(after),
  });
  return { operations: entries.map((entry) => entry.report), health: healthy, metrics: metric, smoke, load: loaded };
}

if (!(await waitForService(client, READY_MS))) {
  process.stderr.write(`nothing answered on ${input.socket} within ${READY_MS / 1000} s\n`);
  process.exit(1);
}
process.stdout.write(JSON.stringify(await exercise()));
client.close();
