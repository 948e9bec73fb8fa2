import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FleetError } from '../../../shared/errors.ts';
import type { Evidence } from '../../../shared/verdict.ts';
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
import { withService } from '../running/with-service.ts';
import { subjectsOf, unknownMetrics } from './monitoring-coverage.ts';
import { ALERT_FILES, DASHBOARD_FILES, type MonitoringFiles, readMonitoringFiles } from './monitoring-files.ts';
import { readRecords } from './operation-records.ts';
import {
  alertResponse,
  incidentResolution,
  incidentsCount,
  meanTimeToRecovery,
  recordedUptime,
} from './record-metrics.ts';
import { type WatchInput, WatchReport } from './watch-report.ts';

const WINDOW_MS = 5000;
/** What holds alerts and dashboards against the running service. */
const FILES = ['monitoring_configured', 'monitoring_coverage'];
const UPTIME = 'uptime_slo';

type Watched = { report: WatchReport; evidence: Evidence[] } | { problem: string };
interface Prepared {
  files: MonitoringFiles | { unreadable: string };
  watched: Watched;
}

async function watch(context: CollectContext): Promise<Watched> {
  try {
    const openapi = await readOpenApi(context);
    const { report, evidence } = await withService(context, (service) => {
      const input: WatchInput = {
        socket: context.sandbox.pathOf([service.mount], service.socket),
        document: openapi?.value ?? null,
        windowMs: UPTIME in context.metrics ? WINDOW_MS : 0,
      };
      return runProbe(context, {
        script: 'ops-watch',
        input,
        report: WatchReport,
        mounts: [service.mount],
        signal: service.signal,
        limits: { wallMs: 120_000 },
      });
    });
    await keepReport(context, report);
    return { report, evidence: [{ ...evidence, report: REPORT }] };
  } catch (err) {
    if (!(err instanceof FleetError) || err.code === 'SANDBOX_UNAVAILABLE' || context.signal.aborted) throw err;
    return { problem: reasonOf(err) };
  }
}

/** The records that were used, as evidence and as artifacts of the phase. */
async function keepRecords(context: CollectContext): Promise<void> {
  const read = readRecords(context);
  if ('missing' in read) return;
  const { service, source, period, incidents, availability } = read.records;
  const keep = (name: string, content: object): Promise<void> =>
    writeFile(join(context.outDir, name), `${JSON.stringify({ service, source, period, ...content }, null, 2)}\n`);
  await keep('incidents.json', { incidents });
  if (availability !== undefined) await keep('availability.json', { availability });
}

async function prepare(context: CollectContext): Promise<Prepared> {
  await keepRecords(context);
  const files = await readMonitoringFiles(context);
  const areFilesThere = !('unreadable' in files) && files.alertFiles > 0 && files.dashboardFiles > 0;
  const isNeeded = UPTIME in context.metrics || (areFilesThere && FILES.some((metric) => metric in context.metrics));
  return { files, watched: isNeeded ? await watch(context) : { problem: 'it was not started' } };
}

type Seen = { files: MonitoringFiles; report: WatchReport };

/** A measure that needs alerts, dashboards and a service that answered. */
const withAll =
  (measure: (seen: Seen, metric: string) => Reading) =>
  ({ files, watched }: Prepared, _context: CollectContext, metric: string): Reading => {
    if ('unreadable' in files) return notEvaluable(metric, 'monitoring/unreadable', files.unreadable);
    const missing = [
      files.alertFiles === 0 ? ALERT_FILES : undefined,
      files.dashboardFiles === 0 ? DASHBOARD_FILES : undefined,
    ].filter((path) => path !== undefined);
    if (missing.length > 0) {
      const reason = `there is no ${missing.join(' and no ')}: write Prometheus alert rules and a Grafana dashboard`;
      return notEvaluable(metric, 'monitoring/missing', reason);
    }
    if ('problem' in watched) {
      const reason = `what the service exposes could not be seen: ${watched.problem}`;
      return notEvaluable(metric, 'monitoring/no-service', reason, { file: 'package.json' });
    }
    const reading = measure({ files, report: watched.report }, metric);
    const evidence = [...(reading.value.evidence ?? []), ...watched.evidence];
    return { ...reading, value: { ...reading.value, evidence } };
  };

const configured = withAll(({ files, report }, metric) => {
  const unknown = unknownMetrics(files, report).map(({ watch: { name, file, line }, metric: series }) =>
    finding(metric, 'monitoring/unknown-metric', `${name} reads ${series}, which the running service does not expose`, {
      file,
      line,
    }),
  );
  const alerts = files.watches.filter(({ kind }) => kind === 'alert').length;
  const none = alerts === 0 ? [finding(metric, 'monitoring/no-alert', `no rule of ${ALERT_FILES} is an alert`)] : [];
  const findings = [...files.findings, ...unknown, ...none];
  const panels = files.watches.filter(({ kind }) => kind === 'panel').length;
  return measured(
    findings.length === 0 ? 1 : 0,
    files.alertFiles + files.dashboardFiles,
    `${alerts} alerts and ${panels} panel queries against ${report.metrics.series.length} exposed series: ${findings.length} problems`,
    { kind: 'http', findings },
  );
});

const coverage = withAll(({ files, report }, metric) => {
  if (report.metrics.series.length === 0) {
    return notEvaluable(metric, 'monitoring/no-series', `the service exposes no series (${report.metrics.seen})`);
  }
  const subjects = subjectsOf(files, report);
  const unwatched = subjects.filter(({ watchedBy }) => watchedBy === undefined);
  return measured(
    (subjects.length - unwatched.length) / subjects.length,
    subjects.length,
    `${subjects.length - unwatched.length} of ${subjects.length} golden signals and operations are watched`,
    {
      kind: 'http',
      findings: unwatched.map(({ name, remedy }) =>
        finding(metric, 'monitoring/unwatched', `nothing watches ${name}: ${remedy}`),
      ),
    },
  );
});

/** From the records when they hold health checks, else from a short window in the sandbox, which the evidence says. */
function uptime({ watched }: Prepared, context: CollectContext, metric: string): Reading {
  const given = readRecords(context);
  if (context.run.given?.records !== undefined && 'missing' in given) {
    return notEvaluable(metric, 'monitoring/no-records', given.missing);
  }
  if ('records' in given && given.records.availability !== undefined) return recordedUptime(context, metric);
  if ('problem' in watched) {
    const reason = `the service could not be probed: ${watched.problem}`;
    return notEvaluable(metric, 'monitoring/no-service', reason, { file: 'package.json' });
  }
  const { healthPath, uptime: window } = watched.report;
  if (healthPath === null || window.probes === 0) {
    return notEvaluable(
      metric,
      'monitoring/no-health',
      'neither /health nor /healthz answers 200: there is nothing to probe',
    );
  }
  const held = window.probes - window.failed;
  const summary = `${held} of ${window.probes} probes of ${healthPath} succeeded in a window of ${window.ms / 1000} s in the sandbox, not in production`;
  const reading = measured(held / window.probes, window.probes, summary, { kind: 'http' });
  return {
    ...reading,
    value: { ...reading.value, evidence: [...(reading.value.evidence ?? []), ...watched.evidence] },
  };
}

/** Holds alerts and dashboards against what the running service exposes, and reads the records of its operation. */
export const monitoringCollector = defineCollector({
  id: 'monitoring',
  version: '1',
  timeoutMs: 150_000,
  prepare,
  measures: {
    monitoring_configured: configured,
    monitoring_coverage: coverage,
    uptime_slo: uptime,
    alert_response_time_minutes: (_, context, metric) => alertResponse(context, metric),
    incident_resolution_hours: (_, context, metric) => incidentResolution(context, metric),
    mean_time_to_recovery_minutes: (_, context, metric) => meanTimeToRecovery(context, metric),
    incidents_count: (_, context, metric) => incidentsCount(context, metric),
  },
});
