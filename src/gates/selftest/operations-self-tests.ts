import { createHash } from 'node:crypto';
import type { RunContext } from '../collector.ts';
import type { Expected, SelfTest } from './self-test.ts';

const SERVER = 'src/backend/server.js';
const LINKS = 'src/backend/links.js';
const MAIN = 'src/backend/main.js';
const ALERTS = 'monitoring/alerts/links.yml';
const DASHBOARD = 'monitoring/dashboards/links.json';

/** Links that outlive the process, as a service must keep them that is replaced while it runs. */
const LASTING_LINKS = `import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
const folder = process.env.DATA_DIR;
export const isAddress = (value) => typeof value === 'string' && /^https?:\\/\\/[^\\s]+$/.test(value);
export class Links {
  add(url) {
    const code = (readdirSync(folder).length + 1000).toString(36);
    writeFileSync(join(folder, code), url);
    return code;
  }
  find(code) {
    return existsSync(join(folder, code)) && code !== '' ? readFileSync(join(folder, code), 'utf8') : undefined;
  }
  remove() {}
}
`;
/** A second process on the same data is ill for its first second and a half, and for a moment later on. */
const ILL_WHEN_SECOND = `import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeServer } from './server.js';
const mark = join(process.env.DATA_DIR, 'first');
const isSecond = existsSync(mark);
writeFileSync(mark, '');
const server = makeServer();
const [answer] = server.listeners('request');
server.removeAllListeners('request');
let served = 0;
server.on('request', (request, response) => {
  served += 1;
  if (isSecond && served > 1 && served % 8 !== 0) response.writeHead(503).end();
  else answer(request, response);
});
server.listen(Number(process.env.PORT), '127.0.0.1');
`;

const deployment: SelfTest = {
  phase: 'deployment',
  clean: {
    edits: { [LINKS]: LASTING_LINKS },
    expect: {
      deployment_success: { atLeast: 1 },
      deployment_time_minutes: { atMost: 1 },
      downtime_minutes: { atMost: 0 },
      post_deployment_incidents: { atMost: 0 },
    },
  },
  defects: [
    {
      what: 'a service that forgets what it kept and fails once it is replaced',
      edits: { [MAIN]: ILL_WHEN_SECOND },
      expect: {
        deployment_success: { atMost: 0 },
        downtime_minutes: { atLeast: 0.001 },
        post_deployment_incidents: { atLeast: 1 },
      },
    },
    {
      what: 'a service that does not start',
      edits: { [MAIN]: "throw new Error('no');\n" },
      expect: { deployment_success: { atMost: 0 }, deployment_time_minutes: { notEvaluable: /did not complete/ } },
    },
  ],
};

/** Counts requests by what was asked, and times them. */
const COUNTING: readonly (readonly [string, string])[] = [
  ['  let served = 0;', '  let served = 0;\n  const counts = new Map();'],
  [
    '    served += 1;',
    `    served += 1;
    response.once('finish', () => {
      const labels = \`path="\${request.url}",method="\${request.method}",status="\${response.statusCode}"\`;
      counts.set(labels, (counts.get(labels) ?? 0) + 1);
    });`,
  ],
  [
    '`http_requests_total{app="links"} ${served}\\n`',
    `[
          '# TYPE http_requests_total counter',
          ...[...counts].map(([labels, count]) => \`http_requests_total{\${labels}} \${count}\`),
          '# TYPE http_request_duration_seconds histogram',
          \`http_request_duration_seconds_bucket{le="+Inf"} \${served}\`,
          '# TYPE process_resident_memory_bytes gauge',
          'process_resident_memory_bytes 1000000',
          '',
        ].join('\\n')`,
  ],
];
const rule = (name: string, expr: string): string => `      - alert: ${name}
        expr: '${expr}'
        for: 5m
        labels: { severity: critical }
        annotations: { runbook_url: README.md }
`;
const RULES = [
  rule('Down', 'up == 0'),
  rule('Fail', 'sum(rate(http_requests_total{status=~"5.."}[5m])) > 1'),
  rule('Slow', 'histogram_quantile(0.9, rate(http_request_duration_seconds_bucket[5m])) > 1'),
];
const alerts = (rules: readonly string[]): string => `groups:\n  - name: links\n    rules:\n${rules.join('')}`;
const dashboard = (...expressions: string[]): string =>
  JSON.stringify({ title: 'Links', panels: expressions.map((expr) => ({ title: expr, targets: [{ expr }] })) });
const WATCHED = {
  [SERVER]: COUNTING,
  [ALERTS]: alerts(RULES),
  [DASHBOARD]: dashboard('sum by (path) (rate(http_requests_total[5m]))', 'process_resident_memory_bytes'),
};

const HOUR_MS = 3_600_000;
const ago = (hours: number): string => new Date(Date.now() - hours * HOUR_MS).toISOString();
/** A day of records with one incident that was answered and resolved after so many hours. */
const records = (answered: number, resolved: number, failed: number, endedHoursAgo = 1): Partial<RunContext> => {
  const start = endedHoursAgo + 40;
  const period = { from: ago(start), to: ago(endedHoursAgo) };
  const incident = {
    id: 'INC-1',
    title: 'planted by the self-test',
    severity: 'high',
    opened: ago(start - 1),
    acknowledged: ago(start - 1 - answered),
    resolved: ago(start - 1 - resolved),
  };
  const content = {
    schema: 'maestro.operations/v1',
    service: 'links',
    source: 'self-test',
    period,
    incidents: [incident],
    availability: [{ ...period, probes: 1000, failed }],
  };
  return { given: { records: { name: 'records.json', text: JSON.stringify(content) } } };
};
const FROM_RECORDS = [
  'alert_response_time_minutes',
  'incident_resolution_hours',
  'mean_time_to_recovery_minutes',
  'incidents_count',
  'uptime_slo',
];

const monitoring: SelfTest = {
  phase: 'monitoring',
  clean: {
    edits: WATCHED,
    run: () => records(0.1, 1, 0),
    expect: {
      monitoring_configured: { atLeast: 1 },
      monitoring_coverage: { atLeast: 1 },
      uptime_slo: { atLeast: 1 },
      alert_response_time_minutes: { atMost: 7 },
      incident_resolution_hours: { atMost: 1.1 },
      mean_time_to_recovery_minutes: { atMost: 61 },
      incidents_count: { atMost: 1 },
    },
  },
  defects: [
    {
      what: 'alerts on a metric that nobody exposes, a broken panel, and incidents that lasted',
      edits: {
        ...WATCHED,
        [ALERTS]: alerts([...RULES.slice(0, 1), rule('Fail', 'requests_that_nobody_counts > 1')]),
        [DASHBOARD]: dashboard('sum(rate(http_requests_total[5m])'),
      },
      run: () => records(3, 30, 100),
      expect: {
        monitoring_configured: { atMost: 0 },
        monitoring_coverage: { atMost: 0.2 },
        uptime_slo: { atMost: 0.9 },
        alert_response_time_minutes: { atLeast: 179 },
        incident_resolution_hours: { atLeast: 29 },
        mean_time_to_recovery_minutes: { atLeast: 1700 },
        incidents_count: { atLeast: 1 },
      },
    },
    {
      what: 'records that are too old',
      run: () => records(0.1, 1, 0, 1000),
      expect: Object.fromEntries(
        FROM_RECORDS.map((metric): [string, Expected] => [metric, { notEvaluable: /days ago/ }]),
      ),
    },
  ],
};

const HASH = `sha512-${createHash('sha512').update('self-test').digest('base64')}`;
const depending = (locked: object | undefined): Record<string, string> => ({
  'package.json': JSON.stringify({ name: 'links', version: '1.0.0', dependencies: { a: '1' } }),
  'package-lock.json': JSON.stringify({
    lockfileVersion: 3,
    packages: { '': {}, ...(locked === undefined ? {} : { 'node_modules/a': locked }) },
  }),
});
const LOCKED = { version: '1.0.0', license: 'MIT', integrity: HASH };
const unlocked = (metric: string): SelfTest['defects'][number] => ({
  what: 'a package that is declared and not locked',
  edits: depending(undefined),
  expect: { [metric]: { notEvaluable: /does not hold a/ } },
});

const licences: SelfTest = {
  phase: 'implementation',
  clean: { edits: depending(LOCKED), expect: { licence_violations: { atMost: 0 } } },
  defects: [
    {
      what: 'a package under a licence that is not allowed',
      edits: depending({ ...LOCKED, license: 'AGPL-3.0-only' }),
      expect: { licence_violations: { atLeast: 1 } },
    },
    {
      what: 'a package that states no licence',
      edits: depending({ version: '1.0.0', integrity: HASH }),
      expect: { licence_violations: { atLeast: 1 } },
    },
    unlocked('licence_violations'),
  ],
};

const sbom: SelfTest = {
  phase: 'implementation',
  clean: { edits: depending(LOCKED), expect: { sbom_complete: { atLeast: 1 } } },
  defects: [
    {
      what: 'a package that is locked without a hash',
      edits: depending({ version: '1.0.0', license: 'MIT' }),
      expect: { sbom_complete: { atMost: 0 } },
    },
    unlocked('sbom_complete'),
  ],
};

/** Defects in how software is released, watched and put together. */
export const operationsSelfTests: Readonly<Record<string, SelfTest>> = { deployment, monitoring, licences, sbom };
