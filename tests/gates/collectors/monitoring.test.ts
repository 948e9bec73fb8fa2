import { beforeAll, describe, expect, it } from 'vitest';
import { monitoringCollector } from '../../../src/gates/collectors/operations/monitoring.ts';
import { selectorsOf } from '../../../src/gates/collectors/operations/promql.ts';
import type { Sandbox } from '../../../src/shared/sandbox/sandbox.ts';
import { Project, collect, readingOf, realSandbox } from './documents-support.ts';
import { ALERTS, DASHBOARD, SERVER, operatedProject } from './operations-support.ts';

const CONFIGURED = 'monitoring_configured';
const COVERAGE = 'monitoring_coverage';
const RECORDED = [
  'alert_response_time_minutes',
  'incident_resolution_hours',
  'mean_time_to_recovery_minutes',
  'incidents_count',
];

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await realSandbox();
});

async function watch(project: Project, metrics: readonly string[] = [CONFIGURED, COVERAGE]) {
  const collected = await collect(monitoringCollector, project, metrics, { sandbox, phase: 'monitoring' });
  return {
    read: (metric: string) => readingOf(collected, metric),
    findings: collected.findings.map((found) => `${found.rule} ${found.message}`),
    evidence: JSON.stringify(collected.values),
  };
}

describe('the monitoring collector, on what is configured', () => {
  it('finds alerts and dashboards that watch everything the service does', async () => {
    const { read, findings, evidence } = await watch(operatedProject(), [CONFIGURED, COVERAGE, 'uptime_slo']);
    expect(findings).toEqual([]);
    expect(read(CONFIGURED)).toEqual({ value: 1, examined: 2 });
    expect(read(COVERAGE)).toEqual({ value: 1, examined: 10 });
    expect(read('uptime_slo')).toMatchObject({ value: 1 });
    expect(evidence).toContain('in a window of 5 s in the sandbox, not in production');
  });

  it('finds what an alert needs and has not, and what no service exposes', async () => {
    const project = operatedProject()
      .edit(ALERTS, 'http_request_duration_seconds_bucket', 'latency_seconds_bucket')
      .edit(ALERTS, '        for: 1m\n', '')
      .edit(ALERTS, '{ severity: warning }', '{ team: links }')
      .edit(ALERTS, 'docs/operations/runbook.md#requests-fail', 'docs/operations/none.md')
      .edit(DASHBOARD, '"process_resident_memory_bytes"', '"sum(process_resident_memory_bytes"');
    const { read, findings } = await watch(project);
    expect(read(CONFIGURED)).toEqual({ value: 0, examined: 2 });
    expect(findings).toEqual(
      expect.arrayContaining([
        'monitoring/alert LinksDown: say with for: how long it must hold',
        'monitoring/alert LinksSlow: give it a severity label',
        'monitoring/alert LinksFail: its runbook docs/operations/none.md does not exist',
        'monitoring/unknown-metric LinksSlow reads latency_seconds_bucket, which the running service does not expose',
        'monitoring/expression panel "Memory": ")" is missing before "end"',
      ]),
    );
    // Latency and saturation are no longer watched.
    expect(read(COVERAGE)).toEqual({ value: 8 / 10, examined: 10 });
  });

  it('does not take an operation as watched whose calls move nothing that is read', async () => {
    const project = operatedProject()
      .edit(DASHBOARD, '{job=\\"$job\\"}', '{route=\\"/links\\"}')
      .edit(ALERTS, 'http_requests_total[5m]', 'http_requests_total{route="/links"}[5m]')
      .edit(ALERTS, 'duration_seconds_bucket[5m]', 'duration_seconds_bucket{route="/links"}[5m]');
    const { read, findings } = await watch(project, [COVERAGE]);
    expect(read(COVERAGE)).toEqual({ value: 6 / 10, examined: 10 });
    expect(findings).toContain(
      'monitoring/unwatched nothing watches GET /links/{code}: calling it moves no series that an alert or panel reads',
    );
    // A counter that stands still counts for nobody; only the one deletion moves it, from nothing to one.
    const still = operatedProject()
      .edit(SERVER, 'seen.total += 1;', 'seen.total = 1;')
      .edit(SERVER, 'buckets[index] += 1', 'buckets[index] = 1');
    const { read: readStill } = await watch(still, [COVERAGE]);
    expect(readStill(COVERAGE)).toEqual({ value: 6 / 10, examined: 10 });
  });

  it('cannot judge missing or unreadable files, or a service that does not run', async () => {
    const reasons = [
      [
        operatedProject().remove('monitoring'),
        'there is no monitoring/alerts/*.{yml,yaml} and no monitoring/dashboards/*.json',
      ],
      [operatedProject().remove(DASHBOARD), 'there is no monitoring/dashboards/*.json'],
      [operatedProject().edit(ALERTS, 'groups:', 'rules:'), 'unknown key "rules"'],
      [
        operatedProject().edit(ALERTS, '      - alert: LinksSlow', '      - nothing: LinksSlow'),
        'unknown key "nothing"',
      ],
      [operatedProject().edit('package.json', '"start"', '"begin"'), 'has no start script'],
    ] as const;
    for (const [project, reason] of reasons) {
      const { read } = await watch(project);
      expect(read(CONFIGURED)).toContain(reason);
      expect(read(COVERAGE)).toContain(reason);
    }
  });

  it('cannot cover a service without metrics, or probe one without health', async () => {
    const { read } = await watch(operatedProject().edit(SERVER, "'/metrics'", "'/other'"));
    expect(read(CONFIGURED)).toEqual({ value: 0, examined: 2 });
    expect(read(COVERAGE)).toContain('exposes no series');
    const { read: readHealth } = await watch(operatedProject().edit(SERVER, "'/health'", "'/other'"), ['uptime_slo']);
    expect(readHealth('uptime_slo')).toContain('neither /health nor /healthz answers 200');
  });
});

const HOUR = 3_600_000;
const now = Date.now();
const ago = (hours: number): string => new Date(now - hours * HOUR).toISOString();
const INCIDENT = {
  id: 'INC-1',
  title: 'The disk was full',
  severity: 'high',
  opened: ago(20),
  acknowledged: ago(19.75),
  resolved: ago(16),
};
const RECORDS = {
  schema: 'maestro.operations/v1',
  service: 'links',
  source: 'the pager',
  period: { from: ago(49), to: ago(1) },
  incidents: [INCIDENT, { ...INCIDENT, id: 'DRILL-1', drill: true, acknowledged: ago(19.9), resolved: ago(19) }],
  availability: [{ from: ago(49), to: ago(1), probes: 2000, failed: 10 }],
};

async function judge(
  records: object | undefined,
  metrics: readonly string[] = [...RECORDED, 'uptime_slo'],
  days?: number,
) {
  const given = records === undefined ? {} : { records: { name: 'records.json', text: JSON.stringify(records) } };
  const specs =
    days === undefined ? {} : Object.fromEntries(metrics.map((metric) => [metric, { maximum_age_days: days }]));
  // A project with nothing in it: nothing of what the author wrote is a record.
  const project = new Project().edit('package.json', '"start"', '"begin"');
  project.write('docs/operations/incidents.yaml', 'incidents: []\n');
  const collected = await collect(monitoringCollector, project, metrics, { sandbox, specs, run: { given } });
  return (metric: string) => {
    const reading = readingOf(collected, metric);
    // Times in the records are those of this moment, so quotients of them carry a rounding error.
    return typeof reading === 'string' ? reading : { ...reading, value: Math.round(reading.value * 1000) / 1000 };
  };
}

describe('the monitoring collector, on records of operation', () => {
  it('reads them, on the line of every gate', async () => {
    const read = await judge(RECORDS);
    expect(read('alert_response_time_minutes')).toEqual({ value: 15, examined: 2 });
    expect(read('incident_resolution_hours')).toEqual({ value: 4, examined: 2 });
    expect(read('mean_time_to_recovery_minutes')).toEqual({ value: 150, examined: 2 });
    expect(read('incidents_count')).toEqual({ value: 1, examined: 48 });
    expect(read('uptime_slo')).toEqual({ value: 0.995, examined: 2000 });
  });

  it('lets what was never answered or resolved last until the end of the period', async () => {
    const read = await judge({ ...RECORDS, incidents: [{ ...INCIDENT, acknowledged: null, resolved: null }] });
    expect(read('alert_response_time_minutes')).toEqual({ value: 1140, examined: 1 });
    expect(read('incident_resolution_hours')).toEqual({ value: 19, examined: 1 });
  });

  it('counts no incident over a quiet period, and knows nothing of answers to alerts that never came', async () => {
    const read = await judge({ ...RECORDS, incidents: [] });
    expect(read('incidents_count')).toEqual({ value: 0, examined: 48 });
    for (const metric of RECORDED.slice(0, 3)) expect(read(metric)).toContain('practise one');
  });

  it('never takes them from the project', async () => {
    const read = await judge(undefined);
    for (const metric of RECORDED) expect(read(metric)).toContain('there are no records of the service in operation');
  });

  it.each([
    ['the schema', { ...RECORDS, schema: 'other' }, 'schema'],
    ['an unknown key', { ...RECORDS, uptime: 1 }, 'unknown key "uptime"'],
    ['a time that is none', { ...RECORDS, period: { from: 'yesterday', to: ago(1) } }, 'write a time'],
    ['a period that ends in the future', { ...RECORDS, period: { from: ago(49), to: ago(-2) } }, 'in the future'],
    ['a period that is turned round', { ...RECORDS, period: { from: ago(1), to: ago(49) } }, 'ends before it begins'],
    [
      'an incident outside the period',
      { ...RECORDS, incidents: [{ ...INCIDENT, opened: ago(60) }] },
      'outside the period',
    ],
    [
      'an answer before the alert',
      { ...RECORDS, incidents: [{ ...INCIDENT, acknowledged: ago(21) }] },
      'before it was opened',
    ],
    ['the same incident twice', { ...RECORDS, incidents: [INCIDENT, INCIDENT] }, 'there twice'],
    [
      'more failures than probes',
      { ...RECORDS, availability: [{ ...RECORDS.availability[0], failed: 3000 }] },
      'more probes failed',
    ],
    ['spans that overlap', { ...RECORDS, availability: [...RECORDS.availability, ...RECORDS.availability] }, 'overlap'],
  ])('refuses records with %s', async (_, records, reason) => {
    const read = await judge(records);
    for (const metric of [...RECORDED, 'uptime_slo']) expect(read(metric)).toContain(reason);
  });

  it('refuses records that are older than the policy allows', async () => {
    const old = { ...RECORDS, period: { from: ago(300), to: ago(49) }, incidents: [], availability: undefined };
    expect((await judge(old, ['incidents_count'], 2))('incidents_count')).toContain('2 at most are allowed');
    expect((await judge(old, ['incidents_count'], 3))('incidents_count')).toMatchObject({ value: 0 });
  });
});

describe('the reader of PromQL', () => {
  it.each([
    ['up == 0', ['up']],
    ['histogram_quantile(0.95, sum by (le, route) (rate(a_bucket{x!~"a|b"}[5m] offset -1h))) > 0.2', ['a_bucket']],
    ['a{b="c"} / on (x) group_left (y) sum(b) by (z) and not_there unless c ^ -2', ['a', 'b', 'not_there', 'c']],
    ['max_over_time(rate(a[1m])[1h:5m]) > bool 1e3 or absent({__name__="d", e="f"}) # why', ['a', 'd']],
    ['sum(rate(a[5m])) @ end() + time()', ['a']],
  ])('reads %s', (expression, metrics) => {
    expect(selectorsOf(expression).map(({ metric }) => metric)).toEqual(metrics);
  });

  it.each(['a >', 'sum(a', 'a b', 'rate(a[five])', 'a{b=c}', 'a{b>"c"}', 'nothing(a)', '{x="y"}', 'a[5m', 'a ~ b', ''])(
    'refuses %s',
    (expression) => {
      expect(() => selectorsOf(expression)).toThrow(SyntaxError);
    },
  );
});
