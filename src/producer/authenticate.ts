import { createHash, timingSafeEqual } from 'node:crypto';
import { isIPv4 } from 'node:net';
import type { RequestHandler } from 'express';
import { FleetError } from '../shared/errors.ts';
import { setPrincipal } from './principal.ts';
import { sendProblem } from './problem.ts';

/** Only this machine can reach it. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || host === '[::1]' || (isIPv4(host) && host.startsWith('127.'));

/** Without a token only this machine may ask. Throws before anything listens. */
export function assertGuarded(host: string, token: string | undefined): void {
  if (token !== undefined && token.length < 16)
    throw new FleetError('BAD_USAGE', 'the API token is too short', { remedy: 'Use at least 16 random characters.' });
  if (isLoopback(host) || token !== undefined) return;
  throw new FleetError('BAD_USAGE', `refusing to listen on ${host} without a token: anyone could start runs`, {
    remedy: 'Set MAESTRO_TOKEN, or listen on 127.0.0.1.',
  });
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/**
 * Lets a request pass that carries the token, as a bearer token or as the password of basic authentication
 * (which is what a browser offers for the pages). Digests are compared, so that neither content nor length shows in the time it takes.
 */
export function authenticate(token: string | undefined): RequestHandler {
  if (token === undefined)
    return (req, _res, next) => {
      setPrincipal(req, { name: 'local', scopes: ['admin'] });
      next();
    };
  const expected = digest(token);
  return (req, res, next) => {
    const given = presentedToken(req.headers.authorization);
    if (given !== undefined && timingSafeEqual(digest(given), expected)) {
      setPrincipal(req, { name: 'bootstrap', scopes: ['admin'] });
      next();
      return;
    }
    res.set('WWW-Authenticate', ['Bearer realm="maestro"', 'Basic realm="maestro", charset="UTF-8"']);
    sendProblem(res, 401, 'UNAUTHORIZED', {
      detail: given === undefined ? 'this server asks for a token' : 'this token is not known here',
      remedy: 'Send `Authorization: Bearer TOKEN`.',
    });
  };
}

function presentedToken(header: string | undefined): string | undefined {
  const [scheme, value] = (header ?? '').split(' ', 2);
  if (value === undefined) return undefined;
  if (scheme?.toLowerCase() === 'bearer') return value;
  if (scheme?.toLowerCase() !== 'basic') return undefined;
  const pair = Buffer.from(value, 'base64').toString('utf8');
  return pair.slice(pair.indexOf(':') + 1);
}

/**
 * A page elsewhere can make a browser send requests to a server on its own machine under a name that
 * it resolves to 127.0.0.1. Such requests name that host, so on loopback only loopback names are served.
 */
export function guardHost(listenHost: string): RequestHandler {
  if (!isLoopback(listenHost)) return (_req, _res, next) => next();
  return (req, res, next) => {
    const host = (req.headers.host ?? '').replace(/:\d+$/, '');
    if (isLoopback(host)) {
      next();
      return;
    }
    sendProblem(res, 421, 'BAD_USAGE', { detail: 'this server answers only under the names of this machine' });
  };
}

/** Refuses changes that a page of another origin makes a browser send; programs send no `Origin`. */
export const guardOrigin: RequestHandler = (req, res, next) => {
  const { origin, host } = req.headers;
  const isSafe = req.method === 'GET' || req.method === 'HEAD' || req.method === 'OPTIONS';
  if (isSafe || origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)) {
    next();
    return;
  }
  sendProblem(res, 403, 'FORBIDDEN', { detail: 'requests from pages of another origin are refused' });
};
