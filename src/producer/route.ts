import express, { type Request, type RequestHandler, type Response, Router } from 'express';
import { z } from 'zod';
import { FleetError } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import { auditRequest, noteDetails } from './audit-requests.ts';
import type { AuditLog } from './audit.ts';
import { type Need, type Principal, mayDo, principalOf } from './principal.ts';
import { methodNotAllowed, parsePart, sendProblem } from './problem.ts';
import { requestIdOf } from './request-id.ts';

/** A document or text that a route may answer with. Anything else is a problem document. */
export interface Answer {
  status: number;
  description: string;
  /** Of a JSON document: its name among the schemas of the OpenAPI document. */
  name?: string;
  schema?: z.ZodType;
  /** Of anything else: its media type. */
  type?: string;
}
export const json = (status: number, description: string, name: string, schema: z.ZodType): Answer => ({
  status,
  description,
  name,
  schema,
});
export const text = (status: number, description: string, type: string): Answer => ({ status, description, type });

/** A JSON document, or with `type` a text of that media type; `stream` leaves its bytes for the route to read. */
type BodySpec<B extends z.ZodType> =
  | { name: string; schema: B; limit?: string }
  | { type: string; schema: B; limit: string }
  | { type: string; stream: true };

interface Ask<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> {
  params: z.output<P>;
  query: z.output<Q>;
  body: z.output<B>;
  principal: Principal;
  /** Says in the audit log what the path does not, such as the run that was started. Never secrets or contents. */
  note: (details: Record<string, string>) => void;
  /** Names the request in every line. */
  logger: Logger;
  req: Request;
  res: Response;
}

/** One operation: what it serves, what it asks for, and how it stands in the OpenAPI document. */
interface RouteSpec<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType> {
  method: 'get' | 'post' | 'put' | 'delete';
  /** `{name}` is one part of the path, `{name*}` all the rest of it. */
  path: string;
  id: string;
  summary: string;
  scope: Need;
  params?: P;
  query?: Q;
  headers?: Record<string, string>;
  body?: BodySpec<B>;
  answers: readonly Answer[];
  /** Whether it stands in the audit log: when left out, everything but `get` does. */
  audited?: boolean;
  handle(ask: Ask<P, Q, B>): unknown;
}
type AnySpec = RouteSpec<z.ZodObject, z.ZodObject, z.ZodType>;

export interface Route extends Omit<AnySpec, 'handle'> {
  serve(ask: { req: Request; res: Response; logger: Logger }): Promise<void>;
}

/** What every route needs of the server. */
export interface RouteServices {
  audit: AuditLog;
  logger: Logger;
}

const BODY_LIMIT = '1mb';
const NOTHING = z.object({});
const anyType = (): boolean => true;

/** Declares an operation. Handler and description come from one object, so that they cannot drift apart. */
export function route<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType>(
  spec: RouteSpec<P, Q, B>,
): Route;
export function route(spec: AnySpec): Route {
  const { params, query, body, path } = spec;
  const [written, declared] = [pathParameters(path), Object.keys(params?.shape ?? {})];
  if (written.toSorted().join() !== declared.toSorted().join())
    throw new FleetError('INTERNAL', `the route ${path} does not declare the parameters of its path`);
  const serve: Route['serve'] = async ({ req, res, logger }) => {
    const principal = principalOf(req);
    await spec.handle({
      params: parsePart(params ?? NOTHING, 'params', req),
      query: parsePart(query ?? NOTHING, 'query', req),
      body: body !== undefined && 'schema' in body ? parsePart(body.schema, 'body', req) : undefined,
      principal,
      note: (more) => noteDetails(req, more),
      logger: logger.child({ requestId: requestIdOf(req), who: principal.name }),
      req,
      res,
    });
  };
  return { ...spec, serve };
}

export const pathParameters = (path: string): string[] =>
  [...path.matchAll(/\{(\w+)\*?\}/g)].map((match) => match[1] ?? '');

/** Refuses whoever may not do it. */
export const allow =
  (need: Need): RequestHandler =>
  (req, res, next) => {
    if (mayDo(principalOf(req), need)) {
      next();
      return;
    }
    const wanted = need === 'approve' ? 'approve:ROLE' : need;
    sendProblem(res, 403, 'FORBIDDEN', {
      detail: `this token may not do that: it lacks the scope \`${wanted}\``,
      remedy: `Use a token that has it: \`maestro token create --scope ${wanted}\`.`,
    });
  };

/** The framework hands out the rest of a path in pieces. */
const joinRest: RequestHandler = (req, _res, next) => {
  for (const [name, value] of Object.entries<unknown>(req.params))
    if (Array.isArray(value)) req.params[name] = value.join('/');
  next();
};

function bodyParsers(body: BodySpec<z.ZodType> | undefined): RequestHandler[] {
  if (body === undefined || 'stream' in body) return [];
  if ('type' in body) return [express.text({ limit: body.limit, type: anyType })];
  return [express.json({ limit: body.limit ?? BODY_LIMIT, type: anyType })];
}

/** Serves routes; a path asked with another method answers 405. */
export function mountRoutes(routes: readonly Route[], services: RouteServices): Router {
  const router = Router();
  for (const path of new Set(routes.map((one) => one.path))) {
    const group = routes.filter((one) => one.path === path);
    const at = router.route(path.replace(/\{(\w+)\*\}/g, '*$1').replace(/\{(\w+)\}/g, ':$1'));
    for (const one of group) at[one.method](...handlersOf(one, services));
    at.all(methodNotAllowed(group.map(({ method }) => method.toUpperCase())));
  }
  return router;
}

function handlersOf(one: Route, { audit, logger }: RouteServices): RequestHandler[] {
  const isAudited = one.audited ?? one.method !== 'get';
  return [
    ...(isAudited ? [auditRequest(audit, logger, one)] : []),
    allow(one.scope),
    joinRest,
    ...bodyParsers(one.body),
    (req, res) => one.serve({ req, res, logger }),
  ];
}
