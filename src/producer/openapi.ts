import { z } from 'zod';
import { LiveCommand } from '../shared/live-commands.ts';
import { RunEvent } from '../shared/run-record.ts';
import { FleetEvent, Problem } from './api-schemas.ts';
import { type Answer, type Route, pathParameters } from './route.ts';

const schemaOf = (schema: z.ZodType, io: 'input' | 'output'): unknown => {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
};
const refTo = (name: string) => ({ $ref: `#/components/schemas/${name}` });

/** The OpenAPI 3.1 document of the service, made from the routes that it serves and the schemas that check their requests. */
export function openApiDocument(routes: readonly Route[]): Record<string, unknown> {
  return {
    openapi: '3.1.0',
    info: { title: 'Maestro Fleet', version: '1', description: 'Runs of workflows, their gates and their evidence.' },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }, { basic: [] }, {}],
    paths: pathItems(routes),
    components: {
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'A token made with `maestro token create`, or MAESTRO_TOKEN',
        },
        basic: { type: 'http', scheme: 'basic', description: 'For browsers: any user name, the token as password' },
      },
      schemas: componentSchemas(routes),
    },
  };
}

function pathItems(routes: readonly Route[]): Record<string, Record<string, unknown>> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const one of routes) {
    const path = one.path.replaceAll('*}', '}');
    paths[path] = { ...paths[path], [one.method]: describe(one) };
  }
  return paths;
}

function describe({
  id,
  summary,
  scope,
  path,
  params,
  query,
  headers = {},
  body,
  answers,
}: Route): Record<string, unknown> {
  const parameters = [
    ...pathParameters(path).map((name) => ({
      name,
      in: 'path',
      required: true,
      schema: schemaOf(z.object(params?.shape ?? {}).shape[name] ?? z.string(), 'input'),
    })),
    ...Object.entries(query?.shape ?? {}).map(([name, field]) => ({
      name,
      in: 'query',
      required: false,
      schema: schemaOf(z.instanceof(z.ZodType).parse(field), 'input'),
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
    ...(scope === 'open' ? { security: [] } : {}),
    'x-scope': scope,
    ...(body === undefined ? {} : { requestBody: requestBody(body) }),
    responses: {
      ...responses(answers),
      default: { description: 'Anything else', content: { 'application/problem+json': { schema: refTo('Problem') } } },
    },
  };
}

function requestBody(body: NonNullable<Route['body']>): unknown {
  if ('name' in body) return { required: false, content: { 'application/json': { schema: refTo(body.name) } } };
  return { required: true, content: { [body.type]: { schema: { type: 'string' } } } };
}

/** By status; answers of one status differ in their media type. */
function responses(answers: readonly Answer[]): Record<string, unknown> {
  const byStatus: Record<string, { description: string; content?: Record<string, unknown> }> = {};
  for (const { status, description, name, type } of answers) {
    const content = {
      ...byStatus[status]?.content,
      ...(name === undefined ? {} : { 'application/json': { schema: refTo(name) } }),
      ...(type === undefined ? {} : { [type]: { schema: { type: 'string' } } }),
    };
    byStatus[status] = { description, ...(Object.keys(content).length === 0 ? {} : { content }) };
  }
  return byStatus;
}

function componentSchemas(routes: readonly Route[]): Record<string, unknown> {
  const schemas: Record<string, unknown> = {
    RunEvent: schemaOf(RunEvent, 'output'),
    FleetEvent: schemaOf(FleetEvent, 'output'),
    LiveCommand: schemaOf(LiveCommand, 'output'),
    Problem: schemaOf(Problem, 'output'),
  };
  for (const { body, answers } of routes) {
    if (body !== undefined && 'name' in body) schemas[body.name] = schemaOf(body.schema, 'input');
    for (const { name, schema } of answers)
      if (name !== undefined && schema !== undefined) schemas[name] = schemaOf(schema, 'output');
  }
  return schemas;
}
