/** Looks at a service as its monitoring does: what /metrics exposes, which series each operation moves, health over a while. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Series, WatchInput, type WatchReport } from '../collectors/operations/watch-report.ts';
import { ApiUser, findHealthPath, seenOf } from './ops-client.ts';
import { HttpClient, waitForService } from './run-http.ts';

const READY_MS = 90_000;
const PROBE_PAUSE_MS = 50;
const CALLS = 3;
const MAX_SERIES = 5000;
const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

const input = WatchInput.parse(JSON.parse(readFileSync(0, 'utf8')));
const client = new HttpClient(input.socket, 2);
const user = new ApiUser(input.document);

interface Scrape {
  seen: string;
  types: Map<string, string>;
  samples: Map<string, Series & { value: number }>;
}

async function scrape(): Promise<Scrape> {
  const answer = await client.send({ method: 'GET', path: '/metrics' });
  const types = new Map<string, string>();
  const samples: Scrape['samples'] = new Map();
  for (const line of answer.status === 200 ? answer.body.split('\n') : []) {
    const [, family, type] = /^#\s*TYPE\s+(\S+)\s+(\S+)/.exec(line) ?? [];
    if (family !== undefined && type !== undefined) types.set(family, type);
    const [, metric, labels = '', value] = SAMPLE.exec(line.trim()) ?? [];
    if (metric === undefined || samples.size >= MAX_SERIES) continue;
    const pairs = [...labels.matchAll(LABEL)].map(([, name = '', text = '']) => [name, text] as const);
    samples.set(`${metric}{${labels}}`, { metric, labels: Object.fromEntries(pairs), value: Number(value) });
  }
  return { seen: `GET /metrics: ${seenOf(answer)}, ${samples.size} series`, types, samples };
}

/** A gauge may go up by chance; a counter that goes up by exactly what was asked does so because of it. */
const counts = (metric: string, types: Scrape['types']): boolean => {
  const type = types.get(metric) ?? types.get(metric.replace(/_(?:bucket|count|sum|total)$/, '')) ?? 'untyped';
  return ['counter', 'histogram', 'summary', 'untyped', 'unknown'].includes(type) && !metric.endsWith('_sum');
};

const at = (from: Scrape, key: string): number => from.samples.get(key)?.value ?? 0;

async function movedBy(call: () => Promise<unknown>, times: number): Promise<Series[]> {
  // The first two scrapes show what a scrape itself moves.
  const first = await scrape();
  const before = await scrape();
  for (let index = 0; index < times; index += 1) await call();
  const after = await scrape();
  return [...after.samples.entries()]
    .filter(([key, { metric, value }]) => {
      const alone = at(before, key) - at(first, key);
      return counts(metric, after.types) && value - at(before, key) - alone === times;
    })
    .map(([, { metric, labels }]) => ({ metric, labels }));
}

async function useOperations(): Promise<WatchReport['operations']> {
  const seen: WatchReport['operations'] = [];
  for (const operation of user.operations) {
    const base = { method: operation.method, path: operation.path };
    const prepared = user.prepare(operation);
    if (prepared === undefined) {
      seen.push({ ...base, problem: 'one of its parameters has no example', moved: [] });
      continue;
    }
    let problem: string | null = null;
    // What was deleted once is not there a second time.
    const times = operation.method === 'delete' ? 1 : CALLS;
    const moved = await movedBy(async () => {
      const { problems } = await user.send(client, prepared);
      problem ??= problems[0] ?? null;
    }, times);
    seen.push({ ...base, problem, moved });
  }
  return seen;
}

async function watchHealth(path: string | null): Promise<WatchReport['uptime']> {
  const uptime = { ms: input.windowMs, probes: 0, failed: 0 };
  if (path === null) return uptime;
  const until = performance.now() + input.windowMs;
  while (performance.now() < until) {
    const answer = await client.send({ method: 'GET', path });
    uptime.probes += 1;
    if (answer.status !== 200) uptime.failed += 1;
    await sleep(PROBE_PAUSE_MS);
  }
  return uptime;
}

if (!(await waitForService(client, READY_MS))) {
  process.stderr.write(`nothing answered on ${input.socket} within ${READY_MS / 1000} s\n`);
  process.exit(1);
}
const healthPath = await findHealthPath(client);
const operations = await useOperations();
const uptime = await watchHealth(healthPath);
const { seen, types, samples } = await scrape();
const report: WatchReport = {
  healthPath,
  uptime,
  operations,
  metrics: {
    seen,
    types: Object.fromEntries(types),
    series: [...samples.values()].map(({ metric, labels }) => ({ metric, labels })),
  },
};
process.stdout.write(JSON.stringify(report));
client.close();
