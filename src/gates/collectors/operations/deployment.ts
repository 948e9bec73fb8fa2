import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FleetError, InvalidInputError } from '../../../shared/errors.ts';
import type { SandboxMount } from '../../../shared/sandbox/sandbox.ts';
import type { Evidence, Finding } from '../../../shared/verdict.ts';
import type { CollectContext } from '../../collector.ts';
import {
  type Reading,
  defineCollector,
  finding,
  measured,
  notEvaluable,
  reasonOf,
} from '../documents/define-collector.ts';
import { readOpenApi } from '../documents/openapi-document.ts';
import { REPORT, keepReport, runProbe } from '../documents/probe.ts';
import { type ServiceSlot, openServiceSlot } from '../running/with-service.ts';
import { type RehearsalInput, RehearsalReport, START_NEXT, STOP_PREVIOUS } from './rehearsal-report.ts';
import { removeTree } from '../../../shared/remove-tree.ts';

const SOAK_MS = 3000;
const REHEARSAL_MS = 120_000;
const MS_PER_MINUTE = 60_000;
const WHERE = 'rehearsed in the sandbox, not seen in production';

/** The rehearsal came to an end, or one instance of the service did not keep running. */
type Outcome = { report: RehearsalReport; evidence: Evidence[] } | { problem: string; byService: boolean };

/** Starts and stops the instances as the judge asks for it. */
class Conductor {
  readonly #previous: ServiceSlot;
  readonly #next: ServiceSlot;
  /** Rejects when an instance ends by itself. */
  readonly failure: Promise<never>;
  #fail: (err: unknown) => void = () => undefined;
  #said = '';
  #isStarted = false;
  #isStopping = false;

  constructor(previous: ServiceSlot, next: ServiceSlot) {
    this.#previous = previous;
    this.#next = next;
    this.failure = new Promise<never>((_resolve, reject) => {
      this.#fail = reject;
    });
    previous.start().failed.catch((err: unknown) => {
      if (!this.#isStopping) this.#fail(err);
    });
  }

  hear(stream: 'stdout' | 'stderr', text: string): void {
    if (stream !== 'stderr') return;
    this.#said += text;
    if (!this.#isStarted && this.#said.includes(START_NEXT)) {
      this.#isStarted = true;
      this.#next.start().failed.catch(this.#fail);
    }
    if (!this.#isStopping && this.#said.includes(STOP_PREVIOUS)) {
      this.#isStopping = true;
      this.#previous.stop().catch(this.#fail);
    }
  }
}

/** Lets the judge use both places until it has a report, or until an instance ends by itself. */
async function judge(context: CollectContext, previous: ServiceSlot, next: ServiceSlot): Promise<Outcome> {
  const openapi = await readOpenApi(context);
  const mounts = [previous.mount, next.mount];
  const input: RehearsalInput = {
    previous: context.sandbox.pathOf(mounts, previous.socket),
    next: context.sandbox.pathOf(mounts, next.socket),
    document: openapi?.value ?? null,
    soakMs: SOAK_MS,
  };
  const over = new AbortController();
  const conductor = new Conductor(previous, next);
  const judged = runProbe(context, {
    script: 'ops-deploy',
    input,
    report: RehearsalReport,
    mounts,
    limits: { wallMs: REHEARSAL_MS },
    signal: AbortSignal.any([context.signal, over.signal]),
    onOutput: (stream, text) => conductor.hear(stream, text),
  });
  try {
    const { report, evidence } = await Promise.race([judged, conductor.failure]);
    return { report, evidence: [{ ...evidence, report: REPORT }] };
  } finally {
    over.abort();
    await Promise.allSettled([judged]);
  }
}

async function rehearse(context: CollectContext): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), 'maestro-data-'));
  const slots: ServiceSlot[] = [];
  try {
    const data: SandboxMount = { host: folder, inside: '/run/data', writable: true };
    const previous = await openServiceSlot(context, { data });
    slots.push(previous);
    const next = await openServiceSlot(context, { inside: '/run/next', data });
    slots.push(next);
    const outcome = await judge(context, previous, next);
    if ('report' in outcome) await keepReport(context, outcome.report);
    return outcome;
  } catch (err) {
    if (!(err instanceof FleetError) || err.code === 'SANDBOX_UNAVAILABLE' || context.signal.aborted) throw err;
    return { problem: reasonOf(err), byService: err.code === 'BAD_INPUT' && !(err instanceof InvalidInputError) };
  } finally {
    await Promise.all(slots.map((slot) => slot.close()));
    await removeTree(folder);
  }
}

const withEvidence = (reading: Reading, evidence: readonly Evidence[]): Reading => ({
  ...reading,
  value: { ...reading.value, evidence: [...(reading.value.evidence ?? []), ...evidence] },
});

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** Did both instances become healthy, and did everything that was tried hold before, beside and after? */
function success(outcome: Outcome, _context: CollectContext, metric: string): Reading {
  if ('problem' in outcome) {
    const message = `the deployment could not be rehearsed: ${outcome.problem}`;
    if (!outcome.byService) return notEvaluable(metric, 'deployment/no-service', message, { file: 'package.json' });
    return measured(0, 1, `${message}; ${WHERE}`, { findings: [finding(metric, 'deployment/failed', message)] });
  }
  const { report, evidence } = outcome;
  const broken = report.smoke.filter(({ ok }) => !ok);
  const findings: Finding[] = [
    ...(report.stoppedAt === null ? [] : [finding(metric, 'deployment/failed', report.stoppedAt)]),
    ...broken.map(({ name, seen }) => finding(metric, 'deployment/smoke', `${name}: ${seen}`)),
  ];
  const summary =
    report.stoppedAt ??
    `replaced while running; ${report.smoke.length - broken.length} of ${report.smoke.length} smoke checks held`;
  const value = findings.length === 0 ? 1 : 0;
  return withEvidence(measured(value, 1, `${summary}; ${WHERE}`, { kind: 'http', findings }), evidence);
}

/** Numbers that only a completed replacement has. */
const whenCompleted =
  (read: (report: RehearsalReport, metric: string) => Reading) =>
  (outcome: Outcome, _context: CollectContext, metric: string): Reading => {
    const problem = 'problem' in outcome ? outcome.problem : outcome.report.stoppedAt;
    if ('problem' in outcome || problem !== null) {
      return notEvaluable(metric, 'deployment/not-completed', `the rehearsed deployment did not complete: ${problem}`);
    }
    return withEvidence(read(outcome.report, metric), outcome.evidence);
  };

const duration = whenCompleted(({ deploymentMs }, metric) =>
  deploymentMs === null
    ? notEvaluable(metric, 'deployment/not-completed', 'the rehearsed deployment was not timed')
    : measured(
        deploymentMs / MS_PER_MINUTE,
        1,
        `${seconds(deploymentMs)} to build, start, check and take over; ${WHERE}`,
        { kind: 'http' },
      ),
);

const downtime = whenCompleted(({ probed, healthPath }, metric) =>
  measured(
    probed.downMs / MS_PER_MINUTE,
    probed.probes,
    `${probed.failed} of ${probed.probes} probes of ${healthPath} failed from the order to the end of the soak, ${seconds(probed.downMs)} in all; ${WHERE}`,
    {
      kind: 'http',
      findings:
        probed.failed === 0
          ? []
          : [
              finding(
                metric,
                'deployment/downtime',
                `the service was away for ${seconds(probed.downMs)} while it was replaced`,
              ),
            ],
    },
  ),
);

const incidents = whenCompleted(({ soak }, metric) =>
  measured(
    soak.incidents.length,
    soak.probes,
    `${soak.incidents.length} incidents in the ${seconds(soak.ms)} after the switch, ${soak.probes} probes; ${WHERE}`,
    { kind: 'http', findings: soak.incidents.map((seen) => finding(metric, 'deployment/incident', seen)) },
  ),
);

/** Replaces the running service by a second instance on the same data, and looks at what users would see. */
export const deploymentCollector = defineCollector({
  id: 'deployment',
  version: '1',
  timeoutMs: 150_000,
  prepare: rehearse,
  measures: {
    deployment_success: success,
    deployment_time_minutes: duration,
    downtime_minutes: downtime,
    post_deployment_incidents: incidents,
  },
});
