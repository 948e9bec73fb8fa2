import type { MonitoringFiles, Watch } from './monitoring-files.ts';
import { type Matcher, type Selector, matches } from './promql.ts';
import type { Series, WatchReport } from './watch-report.ts';

/** Series that Prometheus makes by itself. */
const SYNTHETIC = /^(?:up|scrape_\w+|ALERTS|ALERTS_FOR_STATE)$/;
/** Labels that Prometheus adds when it collects: no service exposes them. */
const TARGET_LABEL = /^(?:job|instance|namespace|pod|cluster|env|environment|region|service)$/;
const SATURATION =
  /cpu|memory|heap|resident|disk|queue|pool|lag|utili[sz]ation|saturation|connections|in_?flight|open_fds/i;
const SUFFIX = /_(?:bucket|count|sum|total)$/;

/** Something that monitoring must look at. */
export interface Subject {
  name: string;
  watchedBy: string | undefined;
  remedy: string;
}

/** The selectors of an expression, with those of the recordings that it reads. */
function expanded(watch: Watch, watches: readonly Watch[], depth = 0): Selector[] {
  return watch.selectors.flatMap((selector) => {
    const recording = watches.find(({ kind, name }) => kind === 'record' && name === selector.metric);
    return recording === undefined || depth > 5 ? [selector] : expanded(recording, watches, depth + 1);
  });
}

const holds = (matcher: Matcher, labels: Series['labels']): boolean =>
  TARGET_LABEL.test(matcher.label) || matches(matcher, labels[matcher.label] ?? '');

const selects = (selector: Selector, series: Series): boolean =>
  selector.metric === series.metric && selector.matchers.every((matcher) => holds(matcher, series.labels));

const typeOf = (metric: string, { types }: WatchReport['metrics']): string =>
  types[metric] ?? types[metric.replace(SUFFIX, '')] ?? 'untyped';

/** Names that alerts and panels read and that the running service does not expose. */
export function unknownMetrics(files: MonitoringFiles, report: WatchReport): { watch: Watch; metric: string }[] {
  const exposed = new Set([
    ...report.metrics.series.map(({ metric }) => metric),
    ...Object.keys(report.metrics.types),
    ...files.watches.filter(({ kind }) => kind === 'record').map(({ name }) => name),
  ]);
  return files.watches.flatMap((watch) =>
    [...new Set(watch.selectors.map(({ metric }) => metric))]
      .filter((metric) => !exposed.has(metric) && !SYNTHETIC.test(metric))
      .map((metric) => ({ watch, metric })),
  );
}

/** Does this selector take server errors, and nothing else? */
function takesErrors({ metric, matchers }: Selector): boolean {
  const status = matchers.filter(({ label }) => /status|code/i.test(label));
  const isErrorStatus = status.some((matcher) => matches(matcher, '500') && !matches(matcher, '200'));
  const isErrorClass = status.some((matcher) => matches(matcher, '5xx') && !matches(matcher, '2xx'));
  return isErrorStatus || isErrorClass || /error|fail/i.test(metric);
}

/** The golden signals, each with the one thing that shows that a selector looks at it. */
function signals(report: WatchReport): { name: string; alertOnly?: boolean; sees: (selector: Selector) => boolean }[] {
  const { metrics } = report;
  const isExposed = (metric: string): boolean =>
    metrics.series.some((series) => series.metric === metric) || metrics.types[metric] !== undefined;
  return [
    { name: 'availability', alertOnly: true, sees: ({ metric }) => metric === 'up' },
    {
      name: 'traffic',
      sees: (selector) => report.operations.some(({ moved }) => moved.some((series) => selects(selector, series))),
    },
    { name: 'errors', sees: (selector) => isExposed(selector.metric) && takesErrors(selector) },
    {
      name: 'latency',
      sees: ({ metric }) => isExposed(metric) && ['histogram', 'summary'].includes(typeOf(metric, metrics)),
    },
    { name: 'saturation', sees: ({ metric }) => isExposed(metric) && SATURATION.test(metric) },
  ];
}

const SIGNAL_REMEDY: Readonly<Record<string, string>> = {
  availability: 'write an alert on up == 0',
  traffic: 'watch a counter of requests',
  errors: 'watch the counter of requests with a status of 5.., or a counter of errors',
  latency: 'watch a histogram of durations',
  saturation: 'watch memory, processor, queue or connections',
};

/** Every golden signal and every operation, with the alert or panel that looks at it. */
export function subjectsOf(files: MonitoringFiles, report: WatchReport): Subject[] {
  const watching = files.watches
    .filter(({ kind }) => kind !== 'record')
    .map((watch) => ({ watch, selectors: expanded(watch, files.watches) }));
  const golden = signals(report).map(({ name, alertOnly, sees }): Subject => {
    const by = watching.find(
      ({ watch, selectors }) => (alertOnly !== true || watch.kind === 'alert') && selectors.some(sees),
    );
    return { name, watchedBy: by?.watch.name, remedy: SIGNAL_REMEDY[name] ?? 'watch it' };
  });
  const operations = report.operations.map(({ method, path, moved, problem }): Subject => {
    const by = watching.find(({ selectors }) =>
      moved.some((series) => selectors.some((selector) => selects(selector, series))),
    );
    const remedy =
      problem === null
        ? 'calling it moves no series that an alert or panel reads'
        : `it could not be called: ${problem}`;
    return { name: `${method.toUpperCase()} ${path}`, watchedBy: by?.watch.name, remedy };
  });
  return [...golden, ...operations];
}
