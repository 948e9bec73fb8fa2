import { z } from 'zod';
import { Approval } from '../shared/handoff.ts';
import { RunId, Name } from '../shared/names.ts';
import { BlobRef, RunEvent } from '../shared/run-record.ts';
import {
  ApprovalRequest,
  CancelRequest,
  CancelResponse,
  DeadLetters,
  ExecuteRequest,
  ExecuteResponse,
  Health,
  PauseRequest,
  PauseResponse,
  Problem,
  Readiness,
  ResumeRequest,
  ResumeResponse,
  RetryRequest,
  RunArtifacts,
  RunDetail,
  RunEvidence,
  RunGates,
  RunList,
  RunListQuery,
  RunReport,
  WorkflowList,
} from './api-schemas.ts';

interface Operation {
  method: 'get' | 'post';
  path: string;
  id: string;
  summary: string;
  query?: { shape: Record<string, z.ZodType> };
  headers?: Record<string, string>;
  body?: { name: string; schema: z.ZodType };
  /** Status, what it means, and the document that comes with it. */
  answers: readonly Answer[];
  /** Needs no token. */
  open?: true;
}
interface Answer {
  status: number;
  description: string;
  name?: string;
  schema?: z.ZodType;
  type?: string;
}

const json = (status: number, description: string, name: string, schema: z.ZodType): Answer => ({
  status,
  description,
  name,
  schema,
});
const text = (status: number, description: string, type: string): Answer => ({ status, description, type });

const OPERATIONS: readonly Operation[] = [
  {
    method: 'get',
    path: '/api/workflows',
    id: 'listWorkflows',
    summary: 'The workflows that can be run',
    answers: [json(200, 'All of them', 'WorkflowList', WorkflowList)],
  },
  {
    method: 'post',
    path: '/api/workflows/{name}/execute',
    id: 'executeWorkflow',
    summary: 'Start a run',
    headers: { 'Idempotency-Key': 'Asking again with the same key and body gives the same run' },
    body: { name: 'ExecuteRequest', schema: ExecuteRequest },
    answers: [json(202, 'The run is enqueued', 'ExecuteResponse', ExecuteResponse)],
  },
  {
    method: 'get',
    path: '/api/runs',
    id: 'listRuns',
    summary: 'Runs, newest first',
    query: RunListQuery,
    answers: [json(200, 'One page', 'RunList', RunList)],
  },
  {
    method: 'get',
    path: '/api/dead',
    id: 'listDead',
    summary: 'Phases that failed for good, over all runs; resuming a run redrives it',
    answers: [json(200, 'All of them', 'DeadLetters', DeadLetters)],
  },
  {
    method: 'get',
    path: '/api/runs/{id}',
    id: 'getRun',
    summary: 'A run with its plan and phases',
    answers: [json(200, 'The run', 'RunDetail', RunDetail)],
  },
  {
    method: 'get',
    path: '/api/runs/{id}/events',
    id: 'streamEvents',
    summary: 'The events of a run, replayed and then live, until it has ended; each is a RunEvent',
    headers: { 'Last-Event-ID': 'The number of the last event already seen' },
    answers: [
      text(200, 'Server-sent events', 'text/event-stream'),
      { status: 204, description: 'The run has ended and everything was seen' },
    ],
  },
  {
    method: 'get',
    path: '/api/runs/{id}/gates',
    id: 'getGates',
    summary: 'Every verdict of a run, phase by phase and round by round',
    answers: [json(200, 'The verdicts', 'RunGates', RunGates)],
  },
  {
    method: 'get',
    path: '/api/runs/{id}/artifacts',
    id: 'getArtifacts',
    summary: 'What each phase handed on',
    answers: [json(200, 'Addresses of git bundles, handoffs and transcripts', 'RunArtifacts', RunArtifacts)],
  },
  {
    method: 'get',
    path: '/api/runs/{id}/blobs/{ref}',
    id: 'getBlob',
    summary: 'One blob that a run names',
    answers: [text(200, 'Its bytes', 'application/octet-stream')],
  },
  {
    method: 'get',
    path: '/api/runs/{id}/report',
    id: 'getReport',
    summary: 'What a run came to, and what blocked it',
    answers: [json(200, 'The report', 'RunReport', RunReport)],
  },
  {
    method: 'get',
    path: '/api/runs/{id}/evidence',
    id: 'getEvidence',
    summary: 'What every verdict rests on: measurements, findings, reviews, approvals',
    answers: [json(200, 'The evidence of every round', 'RunEvidence', RunEvidence)],
  },
  {
    method: 'post',
    path: '/api/runs/{id}/approvals/{phase}',
    id: 'approvePhase',
    summary: 'Record a decision of a person in a role',
    body: { name: 'ApprovalRequest', schema: ApprovalRequest },
    answers: [json(201, 'The decision as recorded', 'Approval', Approval)],
  },
  {
    method: 'post',
    path: '/api/runs/{id}/cancel',
    id: 'cancelRun',
    summary: 'End a run',
    body: { name: 'CancelRequest', schema: CancelRequest },
    answers: [
      json(202, 'It ends', 'CancelResponse', CancelResponse),
      json(200, 'It had ended already', 'CancelResponse', CancelResponse),
    ],
  },
  {
    method: 'post',
    path: '/api/runs/{id}/pause',
    id: 'pauseRun',
    summary: 'Start nothing new; conversations under way end their turn and wait',
    body: { name: 'PauseRequest', schema: PauseRequest },
    answers: [json(200, 'It is paused', 'PauseResponse', PauseResponse)],
  },
  {
    method: 'post',
    path: '/api/runs/{id}/resume',
    id: 'resumeRun',
    summary: 'Let a run go on: a paused one, or what did not pass of one that ended',
    body: { name: 'ResumeRequest', schema: ResumeRequest },
    answers: [json(202, 'What is run again', 'ResumeResponse', ResumeResponse)],
  },
  {
    method: 'post',
    path: '/api/runs/{id}/retry',
    id: 'retryRun',
    summary: 'Run one phase again, or all from a phase onward',
    body: { name: 'RetryRequest', schema: RetryRequest },
    answers: [json(202, 'What is run again', 'ResumeResponse', ResumeResponse)],
  },
  {
    method: 'get',
    path: '/healthz',
    id: 'getHealth',
    summary: 'The process is alive',
    answers: [json(200, 'It is', 'Health', Health)],
    open: true,
  },
  {
    method: 'get',
    path: '/readyz',
    id: 'getReadiness',
    summary: 'Redis and the blob store answer',
    answers: [json(200, 'They do', 'Readiness', Readiness), json(503, 'One of them does not', 'Readiness', Readiness)],
    open: true,
  },
  {
    method: 'get',
    path: '/metrics',
    id: 'getMetrics',
    summary: 'Queue depths and run counts in Prometheus text format',
    answers: [text(200, 'The metrics', 'text/plain')],
  },
];

const PARAMETERS: Record<string, z.ZodType> = { id: RunId, name: Name, phase: Name, ref: BlobRef };
const schemaOf = (schema: z.ZodType, io: 'input' | 'output'): unknown => {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
};
const refTo = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const pathParameters = (path: string): string[] => [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '');

let document: Record<string, unknown> | undefined;

/** The OpenAPI 3.1 document of the service, made from the schemas that check its requests. */
export function openApiDocument(): Record<string, unknown> {
  document ??= {
    openapi: '3.1.0',
    info: { title: 'Maestro Fleet', version: '1', description: 'Runs of workflows, their gates and their evidence.' },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }, {}],
    paths: pathItems(),
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
      schemas: componentSchemas(),
    },
  };
  return document;
}

function pathItems(): Record<string, Record<string, unknown>> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const operation of OPERATIONS)
    paths[operation.path] = { ...paths[operation.path], [operation.method]: describe(operation) };
  return paths;
}

function describe(operation: Operation): Record<string, unknown> {
  const { id, summary, path, query, headers = {}, body, answers } = operation;
  const queryFields = Object.entries(query?.shape ?? {});
  const parameters = [
    ...pathParameters(path).map((name) => ({
      name,
      in: 'path',
      required: true,
      schema: schemaOf(PARAMETERS[name] ?? z.string(), 'input'),
    })),
    ...queryFields.map(([name, field]) => ({
      name,
      in: 'query',
      required: false,
      schema: schemaOf(field, 'input'),
    })),
    ...Object.entries(headers).map(([name, description]) => ({
      name,
      in: 'header',
      required: false,
      description,
      schema: { type: 'string' },
    })),
  ];
  return {
    operationId: id,
    summary,
    parameters,
    ...(operation.open === true ? { security: [] } : {}),
    ...(body === undefined
      ? {}
      : { requestBody: { required: false, content: { 'application/json': { schema: refTo(body.name) } } } }),
    responses: Object.fromEntries([
      ...answers.map((answer): [string, unknown] => [String(answer.status), response(answer)]),
      [
        'default',
        { description: 'Anything else', content: { 'application/problem+json': { schema: refTo('Problem') } } },
      ],
    ]),
  };
}

function response({ description, name, type }: Answer): Record<string, unknown> {
  if (name !== undefined) return { description, content: { 'application/json': { schema: refTo(name) } } };
  return type === undefined ? { description } : { description, content: { [type]: { schema: { type: 'string' } } } };
}

function componentSchemas(): Record<string, unknown> {
  const schemas: Record<string, unknown> = {
    RunEvent: schemaOf(RunEvent, 'output'),
    Problem: schemaOf(Problem, 'output'),
  };
  for (const { body, answers } of OPERATIONS) {
    if (body !== undefined) schemas[body.name] = schemaOf(body.schema, 'input');
    for (const { name, schema } of answers)
      if (name !== undefined && schema !== undefined) schemas[name] = schemaOf(schema, 'output');
  }
  return schemas;
}
