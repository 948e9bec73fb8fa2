import type { RequestHandler } from 'express';
import { sendProblem } from './problem.ts';

const ALLOWED_HEADERS = 'Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-Id';
const EXPOSED_HEADERS = 'Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id';
const PREFLIGHT_SECONDS = 600;

/**
 * What pages of other origins may do: nothing, unless their origin is named. A named one may send requests and read the
 * answers; it brings its own token, as no cookies are used here.
 */
export function guardOrigin(named: readonly string[]): RequestHandler {
  return (req, res, next) => {
    const { origin, host } = req.headers;
    if (named.length > 0) res.vary('Origin');
    if (origin !== undefined && named.includes(origin)) {
      res.set('Access-Control-Allow-Origin', origin);
      res.set('Access-Control-Expose-Headers', EXPOSED_HEADERS);
      if (req.method !== 'OPTIONS') {
        next();
        return;
      }
      res.set('Access-Control-Allow-Methods', 'GET, POST, PUT, DELETE');
      res.set('Access-Control-Allow-Headers', ALLOWED_HEADERS);
      res.set('Access-Control-Max-Age', String(PREFLIGHT_SECONDS)).status(204).end();
      return;
    }
    // Reading needs no guard: without the headers above a browser keeps the answer from the page. Programs send no `Origin`.
    const isSafe = req.method === 'GET' || req.method === 'HEAD' || req.method === 'OPTIONS';
    if (isSafe || origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)) {
      next();
      return;
    }
    sendProblem(res, 403, 'FORBIDDEN', {
      detail: 'requests from pages of another origin are refused',
      remedy: 'Name the origin in MAESTRO_CORS_ORIGINS.',
    });
  };
}
