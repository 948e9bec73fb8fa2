import type { ErrorRequestHandler, Request, RequestHandler, Response } from 'express';
import { z } from 'zod';
import { type ErrorCode, FleetError, InvalidInputError, errorMessage, formatProblem } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import { Problem } from './api-schemas.ts';
import { requestIdOf } from './request-id.ts';

const TITLES: Record<number, string> = {
  400: 'The request is not valid',
  401: 'A token is needed',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Method not allowed',
  408: 'The request took too long to arrive',
  409: 'Conflict',
  413: 'The request body is too large',
  415: 'Unsupported media type',
  421: 'Misdirected request',
  429: 'Too many requests',
  431: 'The headers are too large',
  500: 'Internal fault',
  503: 'Not available now',
};

const STATUS_OF: Partial<Record<ErrorCode, number>> = {
  BAD_INPUT: 400,
  BAD_USAGE: 400,
  NOT_FOUND: 404,
  CONFLICT: 409,
  NOT_VERIFIED: 409,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  RATE_LIMITED: 429,
  TOO_LARGE: 413,
  REDIS_UNAVAILABLE: 503,
  REDIS_UNSAFE: 503,
  BLOB_UNAVAILABLE: 503,
  MODEL_UNAVAILABLE: 503,
  API_UNAVAILABLE: 503,
};

/** What the framework and its body parser throw. */
const HttpError = z.object({ status: z.number().int().min(400).max(499), type: z.string().optional() });
const RedisError = z.object({ name: z.enum(['MaxRetriesPerRequestError', 'AbortError']) });
const PartErrors = Problem.shape.errors.unwrap();
/** Where the code alone does not say it. */
const OtherStatus = z.literal(408);
const LOST_REDIS = /Connection is closed|Stream isn't writeable|ECONNREFUSED/;

/** Sends one RFC 9457 document. */
export function sendProblem(res: Response, status: number, code: string, rest: Partial<Problem>): void {
  const requestId = requestIdOf(res.req);
  const problem = problemOf(status, code, requestId === '' ? rest : { ...rest, requestId });
  res.status(status).type('application/problem+json').send(JSON.stringify(problem));
}

export function problemOf(status: number, code: string, rest: Partial<Problem>): Problem {
  const title = TITLES[status] ?? 'The request failed';
  return { type: 'about:blank', title, status, code, detail: title, ...rest };
}

export const notFound: RequestHandler = (req, res) => {
  sendProblem(res, 404, 'NOT_FOUND', { detail: `there is nothing at ${req.path}` });
};

/** For a path that exists, asked with a method that it does not have. */
export const methodNotAllowed =
  (allowed: readonly string[]): RequestHandler =>
  (req, res) => {
    res.set('Allow', allowed.join(', '));
    sendProblem(res, 405, 'BAD_USAGE', { detail: `${req.method} is not possible here; use ${allowed.join(' or ')}` });
  };

/** Turns whatever a route throws into a problem document. Only what nobody foresaw is a 500, and is logged. */
export const problemHandler =
  (logger: Logger): ErrorRequestHandler =>
  (err: unknown, req, res, _next) => {
    if (res.headersSent) {
      // To break off is the one way left to say that what was sent is not all of it.
      logger.warn({ requestId: requestIdOf(req), path: req.path, reason: errorMessage(err) }, 'answer broken off');
      res.destroy();
      return;
    }
    if (err instanceof FleetError && err.code === 'BLOB_UNAVAILABLE') {
      // Where the store is, is for those who run the service.
      logger.warn({ requestId: requestIdOf(req), path: req.path, reason: err.message }, 'blob store');
      sendProblem(res, 503, err.code, { detail: 'the blob store cannot give what was asked for; the log says why' });
      return;
    }
    if (sendKnown(err, res)) return;
    logger.error({ err, requestId: requestIdOf(req), method: req.method, path: req.path }, 'request failed');
    sendProblem(res, 500, 'INTERNAL', { detail: 'an internal fault; the server has logged it' });
  };

function sendKnown(err: unknown, res: Response): boolean {
  if (err instanceof InvalidInputError) {
    const errors = err.problems.map((problem) => ({ path: problem.file, message: formatProblem(problem) }));
    sendProblem(res, 400, err.code, { detail: err.message, errors });
    return true;
  }
  if (err instanceof FleetError && STATUS_OF[err.code] !== undefined) {
    const remedy = err.remedy === undefined ? {} : { remedy: err.remedy };
    const errors = PartErrors.safeParse(err.details['errors']);
    const listed = errors.success ? { errors: errors.data } : {};
    const status = OtherStatus.safeParse(err.details['status']).data ?? STATUS_OF[err.code] ?? 500;
    // Of a request that did not arrive in time, the rest is not waited for.
    if (status === 408) res.set('Connection', 'close');
    sendProblem(res, status, err.code, { detail: err.message, ...remedy, ...listed });
    return true;
  }
  if (RedisError.safeParse(err).success || (err instanceof Error && LOST_REDIS.test(err.message))) {
    sendProblem(res, 503, 'REDIS_UNAVAILABLE', { detail: 'Redis does not answer' });
    return true;
  }
  const http = HttpError.safeParse(err);
  if (!http.success) return false;
  const detail = err instanceof Error && http.data.type !== undefined ? err.message : (TITLES[http.data.status] ?? '');
  sendProblem(res, http.data.status, http.data.status === 413 ? 'TOO_LARGE' : 'BAD_INPUT', { detail });
  return true;
}

/** A part of a request, checked. Throws `BAD_INPUT` with every fault named. */
export function parsePart<S extends z.ZodType>(schema: S, part: 'params' | 'query' | 'body', req: Request): z.infer<S> {
  const raw: unknown = part === 'body' ? (req.body ?? {}) : req[part];
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.map((issue) => ({
    path: [part, ...issue.path].map(String).join('.'),
    message: issue.message,
  }));
  const detail = errors.map(({ path, message }) => `${path}: ${message}`).join('; ');
  throw new FleetError('BAD_INPUT', detail, { details: { errors } });
}
