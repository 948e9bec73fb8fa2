import { beforeAll, describe, expect, it } from 'vitest';
import { serviceCollector } from '../../../src/gates/collectors/running/service.ts';
import type { Sandbox } from '../../../src/shared/sandbox/sandbox.ts';
import { Project, collect, measure, readingOf, realSandbox } from './documents-support.ts';

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
});
