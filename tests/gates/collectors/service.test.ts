import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { serviceCollector } from '../../../src/gates/collectors/running/service.ts';
import { packagePath } from '../../../src/shared/package-root.ts';
import type { Sandbox } from '../../../src/shared/sandbox/sandbox.ts';
import { Project, collect, measure as measureWith, readingOf, realSandbox } from './documents-support.ts';

const ALL = [
  'api_contract_compliance',
  'api_endpoints_implemented',
  'health_check_implemented',
  'observability_configured',
  'smoke_tests_passed',
  'performance_slo_met',
  'response_time_ms',
  'response_time_p95',
  'error_rate',
];
const SERVER = 'src/backend/server.js';
const API = 'docs/design/openapi.yaml';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await realSandbox();
});

const CONTRACT = 'api_contract_compliance';
const measure = (project: Project, metric: string) => measureWith(serviceCollector, project, metric, { sandbox });
const contractOf = async (project: Project) => {
  const collected = await collect(serviceCollector, project, [CONTRACT], { sandbox });
  return {
    reading: readingOf(collected, CONTRACT),
    findings: collected.findings.map((found) => `${found.rule} ${found.message}`).join('\n'),
  };
};

describe('the service collector', () => {
  it('measures a service that keeps its contract', async () => {
    const collected = await collect(serviceCollector, new Project(), ALL, { sandbox, phase: 'backend' });
    expect(collected.findings).toEqual([]);
    expect(readingOf(collected, 'api_contract_compliance')).toEqual({ value: 1, examined: 5 });
    expect(readingOf(collected, 'api_endpoints_implemented')).toEqual({ value: 5, examined: 5 });
    expect(readingOf(collected, 'health_check_implemented')).toEqual({ value: 1, examined: 1 });
    expect(readingOf(collected, 'observability_configured')).toEqual({ value: 1, examined: 1 });
    expect(readingOf(collected, 'smoke_tests_passed')).toEqual({ value: 1, examined: 4 });
    expect(readingOf(collected, 'performance_slo_met')).toEqual({ value: 1, examined: 100 });
    expect(readingOf(collected, 'error_rate')).toEqual({ value: 0, examined: 100 });
    expect(readingOf(collected, 'response_time_p95')).toMatchObject({ examined: 100 });
  });

  it.each([
    [
      'a body against its schema',
      'json(response, 201, { code, url: body.url }',
      'json(response, 201, { code }',
      'service/response-schema POST /links answered 201',
    ],
    [
      'an undocumented status',
      'json(response, 201, {',
      'json(response, 200, {',
      'service/undocumented-status POST /links answered 200',
    ],
    [
      'a redirect that was followed or dropped',
      'writeHead(302, { location: url })',
      'writeHead(302)',
      'service/missing-header GET /r/{code} answered 302 without the header Location',
    ],
    [
      'an invalid body that is taken',
      "if (typeof body?.url !== 'string' || !isAddress(body.url)) return",
      'if (body === 0) return',
      'POST /links with the invalid body',
    ],
    [
      'an error that is not as documented',
      "{ error: 'there is no such link' }",
      "{ problem: 'there is no such link' }",
      'which names nothing, answered 404 against its schema',
    ],
    [
      'the wrong content type',
      "{ 'content-type': 'application/json', ...headers }",
      "{ 'content-type': 'text/html', ...headers }",
      'service/content-type',
    ],
  ])('finds %s', async (_, from, to, expected) => {
    const { reading, findings } = await contractOf(new Project().edit(SERVER, from, to));
    expect(reading).toMatchObject({ examined: 5 });
    expect(reading).not.toEqual({ value: 1, examined: 5 });
    expect(findings).toContain(expected);
  });

  it('asks for an example when it cannot make a parameter', async () => {
    // Without the code in the answer, the example is the only source of a code.
    const project = new Project()
      .edit(API, '      example: abc\n', '')
      .edit(API, '  /links/{code}:', '  /items/{code}:');
    const { reading, findings } = await contractOf(
      project
        .edit(SERVER, '(links|r)', '(items|r)')
        .edit(SERVER, '{ code, url: body.url }', '{ id: code, url: body.url }'),
    );
    expect(reading).toEqual({ value: 1 / 5, examined: 5 });
    expect(findings).toContain('GET /items/{code} cannot be called: give its parameter code an "example:"');
  });

  it('counts an operation that answers 404 or 501 to its example as not implemented', async () => {
    const project = new Project().edit(
      SERVER,
      "if (pathname === '/health')",
      "if (pathname === '/health') return json(response, 501, { error: 'later' });\n  if (pathname === '/healthz')",
    );
    expect(await measure(project, 'api_endpoints_implemented')).toEqual({ value: 4, examined: 5 });
    expect(await measure(project, 'health_check_implemented')).toEqual({ value: 1, examined: 1 });
  });

  it('finds a missing health check and a metrics page that is none', async () => {
    const silent = new Project().edit(SERVER, "'/health'", "'/other'");
    expect(await measure(silent, 'health_check_implemented')).toEqual({ value: 0, examined: 1 });
    expect(await measure(silent, 'smoke_tests_passed')).toEqual({ value: 0.5, examined: 4 });
    const prose = new Project().edit(SERVER, '# TYPE http_requests_total counter', 'All is well.');
    expect(await measure(prose, 'observability_configured')).toEqual({ value: 0, examined: 1 });
  });

  it('measures errors under load', async () => {
    const failing = new Project().edit(
      SERVER,
      'served += 1;',
      'served += 1;\n  if (served > 60 && served % 2 === 0) return json(response, 500, { error: "tired" });',
    );
    const collected = await collect(serviceCollector, failing, ['error_rate', 'performance_slo_met'], { sandbox });
    expect(collected.values['error_rate']).toMatchObject({ examined: 100 });
    const rate = readingOf(collected, 'error_rate');
    expect(typeof rate === 'string' ? rate : rate.value).toBeGreaterThan(0.2);
    expect(readingOf(collected, 'performance_slo_met')).toEqual({ value: 2 / 3, examined: 100 });
    expect(collected.findings).toMatchObject([{ rule: 'service/budget' }]);
  });

  it('wants a budget that promises something', async () => {
    const BUDGET = 'docs/design/performance.yaml';
    expect(await measure(new Project().remove(BUDGET), 'performance_slo_met')).toContain(`${BUDGET} does not exist`);
    expect(await measure(new Project().edit(BUDGET, '0.01', '0.9'), 'performance_slo_met')).toContain('error_rate');
  });

  it('cannot judge a service that ends, never listens or cannot be started', async () => {
    const reasons = [
      [
        new Project().edit(SERVER, 'let served = 0;', "let served = 0;\nthrow new Error('cannot start');"),
        'cannot start',
      ],
      [new Project().edit('package.json', 'node src/backend/server.js', 'node --version'), 'npm start ended with 0'],
      [new Project().edit('package.json', '"start"', '"begin"'), 'has no start script'],
      [new Project().edit('package.json', '"type": "module",', '"type": '), 'cannot be parsed'],
      [new Project().remove('package.json'), 'package.json'],
      [new Project().edit('package.json', '"test"', '"build": "node missing.js", "test"'), 'npm run build failed'],
    ] as const;
    for (const [project, reason] of reasons) expect(await measure(project, CONTRACT)).toContain(reason);
  });

  it('has no contract to hold a service to without operations, and still looks at its health', async () => {
    const project = new Project().remove(API);
    const collected = await collect(serviceCollector, project, [CONTRACT, 'error_rate', 'health_check_implemented'], {
      sandbox,
    });
    expect(readingOf(collected, CONTRACT)).toContain(`${API} does not exist`);
    expect(readingOf(collected, 'error_rate')).toContain('nothing to load');
    expect(readingOf(collected, 'health_check_implemented')).toEqual({ value: 1, examined: 1 });
  });

  it('builds a service that has a build script before starting it', async () => {
    const project = new Project().write(
      'build.js',
      "import { cpSync } from 'node:fs';\ncpSync('src', 'dist', { recursive: true });\n",
    );
    project.edit('package.json', '"start": "node src/', '"build": "node build.js", "start": "node dist/');
    expect(await measure(project, CONTRACT)).toEqual({ value: 1, examined: 5 });
  });

  it('serves nothing from a dist that the build did not make', async () => {
    const committed = (build: string) =>
      new Project()
        .write('dist/backend/server.js', readFileSync(packagePath('tests/fixtures/docs-links', SERVER), 'utf8'))
        .edit('package.json', '"start": "node src/', `${build}"start": "node dist/`);
    expect(await measure(committed(''), CONTRACT)).toMatch(
      /dist\/backend\/server\.js {2}node:internal\/modules\/cjs\/loader/,
    );
    expect(await measure(committed('"build": "node --version", '), CONTRACT)).toMatch(
      /dist\/backend\/server\.js {2}node:internal\/modules\/cjs\/loader/,
    );
  });

  it('gives a hostile service no way to the report of its judge', async () => {
    // It writes a forged report wherever it can, and tries to end whatever else runs beside it.
    const forge = `
import { readdirSync, writeFileSync } from 'node:fs';
for (const pid of readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))) {
  for (const fd of ['1', '2']) try { writeFileSync('/proc/' + pid + '/fd/' + fd, '{"operations":[]}'); } catch {}
}
`;
    const project = new Project()
      .edit(SERVER, 'let served = 0;', `let served = 0;${forge}`)
      .edit(SERVER, 'json(response, 201, {', 'json(response, 200, {');
    expect(await measure(project, CONTRACT)).toMatchObject({ examined: 5 });
    expect(await measure(project, CONTRACT)).not.toMatchObject({ value: 1 });
  });
});
