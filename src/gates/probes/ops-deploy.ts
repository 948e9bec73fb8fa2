/**
 * Judges a rolling replacement: uses one instance, asks for a second one on the same data, moves over when that is
 * healthy and smoke checks hold, asks for the end of the first, and keeps looking for a while. Prints one JSON report.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  RehearsalInput,
  type RehearsalReport,
  START_NEXT,
  STOP_PREVIOUS,
} from '../collectors/operations/rehearsal-report.ts';
import { ApiUser, type PreparedCall, findHealthPath, seenOf } from './ops-client.ts';
import { HttpClient } from './run-http.ts';

const READY_MS = 60_000;
const STOP_MS = 10_000;
const PROBE_PAUSE_MS = 20;
/** Failures further apart than this are two incidents. */
const CALM_PROBES = 5;

const input = RehearsalInput.parse(JSON.parse(readFileSync(0, 'utf8')));
const previous = new HttpClient(input.previous, 4);
const next = new HttpClient(input.next, 4);
const user = new ApiUser(input.document);
const ask = (what: string): boolean => process.stderr.write(`${what}\n`);

interface Probe {
  at: number;
  ok: boolean;
  seen: string;
}

/** Asks the instance in charge for its health, again and again, as a load balancer does. */
class Prober {
  inCharge = previous;
  probes: Probe[] = [];
  #isEnded = false;
  readonly #running: Promise<void>;

  constructor(path: string) {
    this.#running = this.#run(path);
  }

  async #run(path: string): Promise<void> {
    while (!this.#isEnded) {
      const answer = await this.inCharge.send({ method: 'GET', path });
      this.probes.push({ at: performance.now(), ok: answer.status === 200, seen: seenOf(answer) });
      await sleep(PROBE_PAUSE_MS);
    }
  }

  /** What was seen since the last time it was asked. */
  take(): Probe[] {
    const seen = this.probes;
    this.probes = [];
    return seen;
  }

  async end(): Promise<void> {
    this.#isEnded = true;
    await this.#running;
  }
}

async function untilHealthy(client: HttpClient, path: string | null): Promise<string | null> {
  const deadline = performance.now() + READY_MS;
  while (performance.now() < deadline) {
    const found = path === null ? await findHealthPath(client) : path;
    if (found !== null && (await client.send({ method: 'GET', path: found })).status === 200) return found;
    await sleep(PROBE_PAUSE_MS);
  }
  return null;
}

async function untilGone(client: HttpClient, path: string): Promise<boolean> {
  const deadline = performance.now() + STOP_MS;
  while (performance.now() < deadline) {
    if ((await client.send({ method: 'GET', path })).status === 0) return true;
    await sleep(PROBE_PAUSE_MS);
  }
  return false;
}

/** Makes things with the first instance; what reading them answered is what every later instance must answer. */
async function useFirst(): Promise<{ kept: PreparedCall[]; smoke: RehearsalReport['smoke'] }> {
  const kept: PreparedCall[] = [];
  const smoke: RehearsalReport['smoke'] = [];
  for (const operation of user.operations.filter(({ method }) => ['post', 'get'].includes(method))) {
    const prepared = user.prepare(operation);
    if (prepared === undefined) continue;
    const { problems } = await user.send(previous, prepared);
    const name = `before: ${operation.method.toUpperCase()} ${operation.path}`;
    smoke.push({ name, ok: problems.length === 0, seen: problems[0] ?? 'as documented' });
    if (problems.length === 0 && operation.method === 'get') kept.push(prepared);
  }
  return { kept, smoke };
}

async function readAgain(kept: readonly PreparedCall[], when: string): Promise<RehearsalReport['smoke']> {
  const smoke: RehearsalReport['smoke'] = [];
  for (const prepared of kept) {
    const { problems } = await user.send(next, prepared);
    const name = `${when}: GET ${prepared.call.path}`;
    smoke.push({ name, ok: problems.length === 0, seen: problems[0] ?? 'as before' });
  }
  return smoke;
}

function downMs(probes: readonly Probe[]): number {
  return probes.reduce((sum, probe, index) => {
    const before = probes[index - 1]?.at ?? probe.at;
    return probe.ok ? sum : sum + Math.max(probe.at - before, PROBE_PAUSE_MS);
  }, 0);
}

/** Each run of failed probes is one incident. */
function incidentsOf(probes: readonly Probe[]): string[] {
  let calm = CALM_PROBES;
  return probes.flatMap((probe) => {
    const begins = !probe.ok && calm >= CALM_PROBES;
    calm = probe.ok ? calm + 1 : 0;
    return begins ? [`the health check failed: ${probe.seen}`] : [];
  });
}

const failed = (probes: readonly Probe[]): number => probes.filter(({ ok }) => !ok).length;

const report: RehearsalReport = {
  healthPath: null,
  stoppedAt: null,
  deploymentMs: null,
  smoke: [],
  probed: { probes: 0, failed: 0, downMs: 0 },
  soak: { ms: 0, probes: 0, failed: 0, incidents: [] },
};

async function rehearse(): Promise<string | null> {
  const path = await untilHealthy(previous, null);
  report.healthPath = path;
  if (path === null) return `the first instance was not healthy within ${READY_MS / 1000} s`;
  const { kept, smoke } = await useFirst();
  report.smoke.push(...smoke);
  const prober = new Prober(path);
  try {
    const startedAt = performance.now();
    ask(START_NEXT);
    if ((await untilHealthy(next, path)) === null) return 'the second instance was not healthy beside the first';
    report.smoke.push(...(await readAgain(kept, 'beside the first')));
    prober.inCharge = next;
    ask(STOP_PREVIOUS);
    if (!(await untilGone(previous, path))) return 'the first instance did not end';
    report.deploymentMs = performance.now() - startedAt;
    const switching = prober.take();
    await sleep(input.soakMs);
    const later = await readAgain(kept, 'alone');
    report.smoke.push(...later);
    const soak = prober.take();
    // What was away while switching may only come back later, so both are one time.
    const all = [...switching, ...soak];
    report.probed = { probes: all.length, failed: failed(all), downMs: downMs(all) };
    const broken = later.filter(({ ok }) => !ok).map(({ name, seen }) => `${name}: ${seen}`);
    report.soak = {
      ms: input.soakMs,
      probes: soak.length,
      failed: failed(soak),
      incidents: [...incidentsOf(soak), ...broken],
    };
    return null;
  } finally {
    await prober.end();
  }
}

report.stoppedAt = await rehearse();
process.stdout.write(JSON.stringify(report));
previous.close();
next.close();
