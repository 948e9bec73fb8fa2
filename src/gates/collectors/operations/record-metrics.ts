import type { CollectContext } from '../../collector.ts';
import { type Reading, measured, notEvaluable } from '../documents/define-collector.ts';
import { type Incident, type OperationRecords, hoursBetween, readRecords } from './operation-records.ts';

const DEFAULT_AGE_DAYS = 7;
const MINUTES = 60;
const round = (value: number): number => Math.round(value * 100) / 100;

const describe = ({ service, source, period }: OperationRecords): string =>
  `${service} from ${period.from} to ${period.to}, exported from ${source}`;

/** A measure over records that are there, sound and recent enough for the policy. */
export const fromRecords =
  (measure: (records: OperationRecords, metric: string, summary: (text: string) => string) => Reading) =>
  (context: CollectContext, metric: string): Reading => {
    const read = readRecords(context);
    if ('missing' in read) return notEvaluable(metric, 'monitoring/no-records', read.missing);
    const { records } = read;
    const limit = context.metrics[metric]?.maximum_age_days ?? DEFAULT_AGE_DAYS;
    const days = hoursBetween(records.period.to, new Date().toISOString()) / 24;
    if (days > limit) {
      return notEvaluable(
        metric,
        'monitoring/old-records',
        `the records of operation end ${round(days)} days ago, ${limit} at most are allowed: export them again`,
      );
    }
    return measure(records, metric, (text) => `${text}; ${describe(records)}`);
  };

/** No alert, no answer to time: practised alerts are what shows that somebody would come. */
const noAlert = (metric: string): Reading =>
  notEvaluable(
    metric,
    'monitoring/no-alert',
    'the records hold no alert that anybody could have answered: practise one and record it with drill: true',
  );

const slowest = (
  unit: string,
  factor: number,
  endOf: (incident: Incident) => string | null,
  what: string,
): ReturnType<typeof fromRecords> =>
  fromRecords((records, metric, summary) => {
    if (records.incidents.length === 0) return noAlert(metric);
    // What has not ended has lasted until the end of the period at least.
    const times = records.incidents.map((incident) => ({
      id: incident.id,
      isOver: endOf(incident) !== null,
      value: hoursBetween(incident.opened, endOf(incident) ?? records.period.to) * factor,
    }));
    const worst = times.reduce((most, each) => (each.value > most.value ? each : most));
    const open = times.filter(({ isOver }) => !isOver).map(({ id }) => id);
    const note = open.length === 0 ? '' : `; not ${what} at all: ${open.join(', ')}`;
    return measured(
      worst.value,
      times.length,
      summary(`${worst.id} was the slowest of ${times.length} to be ${what}, ${round(worst.value)} ${unit}${note}`),
      { kind: 'record' },
    );
  });

export const alertResponse = slowest('minutes', MINUTES, ({ acknowledged }) => acknowledged, 'answered');
export const incidentResolution = slowest('hours', 1, ({ resolved }) => resolved, 'resolved');

export const meanTimeToRecovery = fromRecords((records, metric, summary) => {
  if (records.incidents.length === 0) return noAlert(metric);
  const minutes = records.incidents.map(
    ({ opened, resolved }) => hoursBetween(opened, resolved ?? records.period.to) * MINUTES,
  );
  const mean = minutes.reduce((sum, each) => sum + each, 0) / minutes.length;
  return measured(mean, minutes.length, summary(`${round(mean)} minutes over ${minutes.length} alerts and drills`), {
    kind: 'record',
  });
});

export const incidentsCount = fromRecords((records, _metric, summary) => {
  const hours = Math.floor(hoursBetween(records.period.from, records.period.to));
  const real = records.incidents.filter(({ drill }) => !drill);
  return measured(real.length, hours, summary(`${real.length} incidents in ${hours} hours`), { kind: 'record' });
});

/** Availability as seen from outside, when the records hold it. */
export const recordedUptime = fromRecords((records, metric, summary) => {
  const spans = records.availability ?? [];
  const probes = spans.reduce((sum, span) => sum + span.probes, 0);
  const failed = spans.reduce((sum, span) => sum + span.failed, 0);
  if (probes === 0) return notEvaluable(metric, 'monitoring/no-probes', 'the records hold no health check');
  return measured(1 - failed / probes, probes, summary(`${probes - failed} of ${probes} health checks succeeded`), {
    kind: 'record',
  });
});
