import { type NormalizedProblem, createConfig, lintFromString } from '@redocly/openapi-core';
import type { Finding } from '../../../shared/verdict.ts';
import { type Check, type Reading, defineCollector, finding, measured, notEvaluable } from './define-collector.ts';
import {
  OPENAPI_PATH,
  type OpenApiFile,
  type Operation,
  objectOf,
  operationsOf,
  readOpenApi,
  resolve,
} from './openapi-document.ts';

/** Chosen here, so that no file of the measured project can switch a rule off. */
const RULES = {
  struct: 'error',
  'no-unresolved-refs': 'error',
  'operation-operationId-unique': 'error',
  'operation-parameters-unique': 'error',
  'path-parameters-defined': 'error',
  'path-declaration-must-exist': 'error',
  'no-identical-paths': 'error',
  'no-schema-type-mismatch': 'error',
  'no-enum-type-mismatch': 'error',
  'no-invalid-media-type-examples': 'error',
  'no-invalid-parameter-examples': 'error',
  'no-ambiguous-paths': 'warn',
  'no-path-trailing-slash': 'warn',
} as const;
/** Breaking one of these makes the document no OpenAPI at all. */
const INVALIDATING = new Set(['struct', 'no-unresolved-refs']);

const METRIC = 'api_specification_completeness';

const pointerPath = (pointer: string | undefined): string[] =>
  (pointer ?? '#/')
    .replace(/^#?\/?/, '')
    .split('/')
    .filter((key) => key !== '')
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));

async function lint(file: OpenApiFile): Promise<{ problem: NormalizedProblem; finding: Finding }[]> {
  const config = await createConfig({ rules: RULES });
  const problems = await lintFromString({ source: file.source, absoluteRef: file.path, config });
  return problems.map((problem) => ({
    problem,
    finding: finding(METRIC, `openapi/${problem.ruleId}`, problem.message.split('\n')[0] ?? problem.message, {
      ...file.positionOf(pointerPath(problem.location[0]?.pointer)),
      severity: problem.severity === 'error' ? 'error' : 'warning',
    }),
  }));
}

const hasSchema = (file: OpenApiFile, holder: unknown): boolean => {
  const media = Object.values(objectOf(resolve(file, holder)['content']));
  return media.length > 0 && media.every((entry) => Object.keys(objectOf(objectOf(entry)['schema'])).length > 0);
};

/** A success response needs a schema unless its status says that it has no body. */
function hasSuccessSchema(file: OpenApiFile, responses: Record<string, unknown>): boolean {
  const statuses = Object.keys(responses).filter((status) => /^[23]/.test(status));
  return (
    statuses.length > 0 &&
    statuses.every((status) => /^(?:204|205|3..)$/i.test(status) || hasSchema(file, responses[status]))
  );
}

const isText = (value: unknown): boolean => typeof value === 'string' && value.trim() !== '';

function operationChecks(file: OpenApiFile, entry: Operation): Check[] {
  const { operation } = entry;
  const name = `${entry.method.toUpperCase()} ${entry.path}`;
  const responses = objectOf(operation['responses']);
  const check = (ok: boolean, rule: string, ask: string): Check => ({
    ok,
    finding: finding(METRIC, `openapi/${rule}`, `${name}: ${ask}`, entry.at),
  });
  const body = operation['requestBody'];
  return [
    check(isText(operation['operationId']), 'operation-id', 'give it an operationId'),
    check(isText(operation['summary']), 'summary', 'give it a summary'),
    ...(body === undefined ? [] : [check(hasSchema(file, body), 'request-schema', 'give its request body a schema')]),
    check(hasSuccessSchema(file, responses), 'success-schema', 'give its success response a schema'),
    check(
      Object.keys(responses).some((status) => /^(?:[45]|default$)/.test(status)),
      'error-response',
      'describe at least one error response (4xx, 5xx or default)',
    ),
  ];
}

const noDocument = (metric: string): Reading =>
  notEvaluable(
    metric,
    'openapi/missing',
    `${OPENAPI_PATH} does not exist: describe every operation of the service there, in OpenAPI 3.1`,
    {
      file: OPENAPI_PATH,
    },
  );

const noOperation = (metric: string, file: OpenApiFile): Reading =>
  notEvaluable(metric, 'openapi/no-operation', `${file.path} describes no operation under paths`, { file: file.path });

async function completeness(file: OpenApiFile | undefined, metric: string): Promise<Reading> {
  if (file === undefined) return noDocument(metric);
  const operations = operationsOf(file);
  if (operations.length === 0) return noOperation(metric, file);
  const problems = await lint(file);
  const errors = problems.filter(({ problem }) => problem.severity === 'error');
  const isInvalid = errors.some(({ problem }) => INVALIDATING.has(problem.ruleId));
  const checks = operations.flatMap((operation) => operationChecks(file, operation));
  const held = checks.filter((entry) => entry.ok).length;
  const value = isInvalid ? 0 : held / (checks.length + errors.length);
  const summary = isInvalid
    ? `${file.path} is not valid OpenAPI: ${errors.length} errors`
    : `${held} of ${checks.length} checks on ${operations.length} operations hold, ${errors.length} lint errors`;
  return measured(value, operations.length, summary, {
    findings: [
      ...problems.map((entry) => entry.finding),
      ...checks.filter((entry) => !entry.ok).map((entry) => entry.finding),
    ],
    evidence: { tool: '@redocly/openapi-core' },
  });
}

function endpointsCount(file: OpenApiFile | undefined, metric: string): Reading {
  if (file === undefined) return noDocument(metric);
  const { length } = operationsOf(file);
  return length === 0 ? noOperation(metric, file) : measured(length, 1, `${length} operations in ${file.path}`);
}

/** Lints the API document and checks that each operation says what a caller needs to know. */
export const openapiCollector = defineCollector({
  id: 'openapi',
  version: '1',
  timeoutMs: 30_000,
  prepare: readOpenApi,
  measures: {
    api_specification_completeness: (file, _, metric) => completeness(file, metric),
    api_endpoints_count: (file, _, metric) => endpointsCount(file, metric),
  },
});
