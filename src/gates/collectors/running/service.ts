import { z } from 'zod';
import { FleetError } from '../../../shared/errors.ts';
import type { Evidence, Finding } from '../../../shared/verdict.ts';
import { parseYaml } from '../../../shared/yaml-file.ts';
import type { CollectContext } from '../../collector.ts';
import {
  type Check,
  type Reading,
  defineCollector,
  finding,
  measured,
  notEvaluable,
  reasonOf,
} from '../documents/define-collector.ts';
import { OPENAPI_PATH, type OpenApiFile, operationsOf, readOpenApi } from '../documents/openapi-document.ts';
import { REPORT, keepReport, runProbe } from '../documents/probe.ts';
import { readProjectText } from '../documents/project-files.ts';
import { type OperationReport, type ServiceInput, ServiceReport } from './service-report.ts';
import { withService } from './with-service.ts';

const BUDGET_PATH = 'docs/design/performance.yaml';
const LOAD = { requests: 200, concurrency: 8, ms: 5000 } as const;

/** What a small bounded load must hold. The bounds keep an author from promising nothing. */
const Budget = z.strictObject({
  p95_ms: z.number().positive().max(5000),
  error_rate: z.number().min(0).max(0.05),
  requests: z.number().int().min(20).max(2000),
});
type Budget = z.infer<typeof Budget>;

interface Service {
  openapi: OpenApiFile | undefined;
  budget: Budget | undefined;
  budgetProblem: string | undefined;
  report: ServiceReport | undefined;
  problem: string | undefined;
  evidence: Evidence[];
}

async function readBudget(
  context: CollectContext,
): Promise<{ budget: Budget | undefined; budgetProblem: string | undefined }> {
  const text = await readProjectText(context.root, BUDGET_PATH);
  if (text === undefined) {
    return { budget: undefined, budgetProblem: `${BUDGET_PATH} does not exist: write p95_ms, error_rate and requests` };
  }
  try {
    return { budget: parseYaml(Budget, { file: text.path, text: text.text }).value, budgetProblem: undefined };
  } catch (err) {
    return { budget: undefined, budgetProblem: reasonOf(err) };
  }
}

async function prepare(context: CollectContext): Promise<Service> {
  const openapi = await readOpenApi(context);
  const budget = await readBudget(context);
  const base = { openapi, ...budget };
  const requests = budget.budget?.requests ?? LOAD.requests;
  try {
    const { report, evidence } = await withService(context, (service) => {
      const input: ServiceInput = {
        socket: context.sandbox.pathOf([service.mount], service.socket),
        document: openapi?.value ?? null,
        load: { ...LOAD, requests },
      };
      return runProbe(context, {
        script: 'run-service',
        input,
        report: ServiceReport,
        mounts: [service.mount],
        signal: service.signal,
        limits: { wallMs: 150_000 },
      });
    });
    await keepReport(context, report);
    return { ...base, report, problem: undefined, evidence: [{ ...evidence, report: REPORT }] };
  } catch (err) {
    if (!(err instanceof FleetError) || err.code === 'SANDBOX_UNAVAILABLE') throw err;
    return { ...base, report: undefined, problem: reasonOf(err), evidence: [] };
  }
}

type Reported = Service & { report: ServiceReport };

/** A measure that needs a service that answered. */
const withReport =
  (measure: (service: Reported, metric: string) => Reading) =>
  (service: Service, _context: CollectContext, metric: string): Reading => {
    const { report } = service;
    if (report === undefined) {
      return notEvaluable(
        metric,
        'service/not-running',
        `the service could not be exercised: ${service.problem ?? 'no report'}`,
        {
          file: 'package.json',
        },
      );
    }
    const reading = measure({ ...service, report }, metric);
    return {
      ...reading,
      value: { ...reading.value, evidence: [...(reading.value.evidence ?? []), ...service.evidence] },
    };
  };

const nameOf = (operation: OperationReport): string => `${operation.method.toUpperCase()} ${operation.path}`;

/** A measure over the operations of the API document. */
const withOperations = (measure: (service: Reported & { openapi: OpenApiFile }, metric: string) => Reading) =>
  withReport((service, metric) => {
    const { openapi } = service;
    if (openapi === undefined || service.report.operations.length === 0) {
      const reason = openapi === undefined ? 'does not exist' : 'describes no operation';
      return notEvaluable(
        metric,
        'service/no-operation',
        `${OPENAPI_PATH} ${reason}: describe every operation of the service there`,
        {
          file: OPENAPI_PATH,
        },
      );
    }
    return measure({ ...service, openapi }, metric);
  });

function operationFinding(
  openapi: OpenApiFile,
  metric: string,
  operation: OperationReport,
  rule: string,
  message: string,
): Finding {
  const entry = operationsOf(openapi).find(
    ({ path, method }) => path === operation.path && method === operation.method,
  );
  return finding(metric, `service/${rule}`, `${nameOf(operation)} ${message}`, { ...entry?.at });
}

const contractCompliance = withOperations((service, metric) => {
  const { operations } = service.report;
  const compliant = operations.filter((operation) => operation.calls > 0 && operation.problems.length === 0);
  const findings = operations.flatMap((operation) =>
    operation.problems.map(({ rule, message }) => operationFinding(service.openapi, metric, operation, rule, message)),
  );
  const calls = operations.reduce((sum, operation) => sum + operation.calls, 0);
  return measured(
    compliant.length / operations.length,
    operations.length,
    `${compliant.length} of ${operations.length} operations kept their contract in ${calls} calls`,
    { kind: 'http', findings },
  );
});

const endpointsImplemented = withOperations((service, metric) => {
  const { operations } = service.report;
  const missing = operations.filter((operation) => !operation.implemented);
  return measured(
    operations.length - missing.length,
    operations.length,
    `${operations.length - missing.length} of ${operations.length} operations answer something other than 404, 405 or 501`,
    {
      kind: 'http',
      findings: missing.map((operation) =>
        operationFinding(
          service.openapi,
          metric,
          operation,
          'not-implemented',
          'is not implemented, or its example names nothing',
        ),
      ),
    },
  );
});

const health = withReport(({ report }, metric) =>
  measured(report.health.path === null ? 0 : 1, 1, report.health.seen, {
    kind: 'http',
    findings:
      report.health.path === null
        ? [
            finding(
              metric,
              'service/health',
              `answer GET /health with 200 when the service can work (${report.health.seen})`,
            ),
          ]
        : [],
  }),
);

const observability = withReport(({ report }, metric) =>
  measured(report.metrics.ok ? 1 : 0, 1, report.metrics.seen, {
    kind: 'http',
    findings: report.metrics.ok
      ? []
      : [
          finding(
            metric,
            'service/metrics',
            `answer GET /metrics with Prometheus text as text/plain (${report.metrics.seen})`,
          ),
        ],
  }),
);

const smoke = withReport(({ report }, metric) => {
  const failed = report.smoke.filter((check) => !check.ok);
  return measured(
    (report.smoke.length - failed.length) / report.smoke.length,
    report.smoke.length,
    `${report.smoke.length - failed.length} of ${report.smoke.length} smoke checks hold`,
    {
      kind: 'http',
      findings: failed.map((check) => finding(metric, 'service/smoke', `${check.name}: ${check.seen}`)),
    },
  );
});

/** Everything read from the load needs requests that were answered as documented. */
const underLoad = (read: (load: ServiceReport['load']) => number | null, unit: string) =>
  withReport(({ report: { load } }, metric) => {
    const value = read(load);
    if (value === null || load.sent === 0) {
      return notEvaluable(
        metric,
        'service/no-load',
        `no GET or POST operation of ${OPENAPI_PATH} kept its contract, so there was nothing to load`,
        {
          file: OPENAPI_PATH,
        },
      );
    }
    return measured(
      value,
      load.sent,
      `${load.sent} requests at concurrency ${LOAD.concurrency} in ${Math.round(load.elapsedMs)} ms: ${value} ${unit}`,
      {
        kind: 'http',
      },
    );
  });

const round = (value: number | null): number | null => (value === null ? null : Math.round(value * 100) / 100);

const performance = withReport(({ report: { load }, budget, budgetProblem }, metric) => {
  if (budget === undefined) {
    return notEvaluable(metric, 'service/no-budget', budgetProblem ?? `${BUDGET_PATH} is missing`, {
      file: BUDGET_PATH,
    });
  }
  if (load.sent === 0 || load.p95Ms === null) {
    return notEvaluable(metric, 'service/no-load', 'no operation kept its contract, so there was nothing to load', {
      file: OPENAPI_PATH,
    });
  }
  const rate = load.failed / load.sent;
  const items: [boolean, string][] = [
    [load.p95Ms <= budget.p95_ms, `p95 was ${round(load.p95Ms)} ms, the budget is ${budget.p95_ms} ms`],
    [rate <= budget.error_rate, `error rate was ${rate}, the budget is ${budget.error_rate}`],
    [
      load.sent >= budget.requests,
      `${load.sent} requests were answered in ${LOAD.ms} ms, the budget is ${budget.requests}`,
    ],
  ];
  const checks = items.map(([ok, message]): Check => ({
    ok,
    finding: finding(metric, 'service/budget', message, { file: BUDGET_PATH, severity: 'warning' }),
  }));
  const held = checks.filter((check) => check.ok).length;
  return measured(held / checks.length, load.sent, items.map(([, message]) => message).join('; '), {
    kind: 'http',
    findings: checks.filter((check) => !check.ok).map((check) => check.finding),
  });
});

/** Starts the service in the sandbox and holds every operation of its API document against it. */
export const serviceCollector = defineCollector({
  id: 'service',
  version: '1',
  timeoutMs: 240_000,
  prepare,
  measures: {
    api_contract_compliance: contractCompliance,
    api_endpoints_implemented: endpointsImplemented,
    health_check_implemented: health,
    observability_configured: observability,
    smoke_tests_passed: smoke,
    performance_slo_met: performance,
    response_time_ms: underLoad((load) => round(load.medianMs), 'ms median'),
    response_time_p95: underLoad((load) => round(load.p95Ms), 'ms at the 95th percentile'),
    error_rate: underLoad((load) => (load.sent === 0 ? null : load.failed / load.sent), 'failed'),
  },
});
