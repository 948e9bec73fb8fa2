import { createHash, timingSafeEqual } from 'node:crypto';
import { isIPv4 } from 'node:net';
import type { Request, RequestHandler, Response } from 'express';
import { FleetError } from '../shared/errors.ts';
import type { FailedAuthentications } from './failed-authentications.ts';
import { BOOTSTRAP, LOCAL, type Principal, setPrincipal } from './principal.ts';
import { sendProblem } from './problem.ts';
import { type RateLimiters, sendTooMany } from './rate-limits.ts';
import { requestIdOf } from './request-id.ts';
import { type TokenStore, isFleetToken } from './tokens.ts';

/** Only this machine can reach it. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || host === '[::1]' || (isIPv4(host) && host.startsWith('127.'));

/** Refuses a token that can be guessed. */
export function assertStrong(token: string | undefined): void {
  if (token !== undefined && token.length < 16)
    throw new FleetError('BAD_USAGE', 'the API token is too short', { remedy: 'Use at least 16 random characters.' });
}

/** Without any token only this machine may ask. */
export async function assertGuarded({ host, token, tokens }: Guard): Promise<void> {
  if (isLoopback(host) || token !== undefined) return;
  if ((await tokens.list()).some(({ status }) => status === 'active')) return;
  throw new FleetError('BAD_USAGE', `refusing to listen on ${host} without a token: anyone could start runs`, {
    remedy:
      'Make one with `maestro token create --name NAME --scope admin`, set MAESTRO_TOKEN, or listen on 127.0.0.1.',
  });
}

/** What decides who may ask. */
export interface Guard {
  /** The address that the server listens on. */
  host: string;
  /** MAESTRO_TOKEN. */
  token: string | undefined;
  tokens: TokenStore;
  limiters: RateLimiters;
  failures: FailedAuthentications;
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/**
 * Finds out who asks: by a bearer token, or by the password of basic authentication, which is what a browser offers for
 * the pages. A server that only this machine reaches asks for one as soon as there is any.
 */
export function authenticate(guard: Guard): RequestHandler {
  const expected = guard.token === undefined ? undefined : digest(guard.token);
  // Digests are compared, so that neither content nor length shows in the time it takes.
  const isBootstrap = (given: string): boolean => expected !== undefined && timingSafeEqual(digest(given), expected);
  return async (req, res, next) => {
    if (await isOpen(guard)) {
      setPrincipal(req, LOCAL);
      next();
      return;
    }
    const given = presentedToken(req.headers.authorization);
    if (given === undefined) {
      sendUnauthorized(res, 'this server asks for a token');
      return;
    }
    const who = await identify(guard, req, given, isBootstrap);
    if ('principal' in who) {
      setPrincipal(req, who.principal);
      next();
    } else if (who.blockedSeconds > 0)
      sendTooMany(res, who.blockedSeconds, 'too many tokens from this address were wrong');
    else sendUnauthorized(res, who.refusal);
  };
}

const isOpen = async ({ host, token, tokens }: Guard): Promise<boolean> =>
  isLoopback(host) && token === undefined && !(await tokens.hasAny());

type Identified = { principal: Principal } | { refusal: string; blockedSeconds: number };

async function identify(
  { tokens, limiters, failures }: Guard,
  req: Request,
  given: string,
  isBootstrap: (given: string) => boolean,
): Promise<Identified> {
  const [address, requestId] = [req.ip ?? '', requestIdOf(req)];
  // A token that the fleet made cannot be guessed, so it counts however often others behind its address were wrong.
  const record = isFleetToken(given) ? await tokens.find(given) : undefined;
  if (record?.status === 'active') {
    const { id, name, scopes, ratePerMinute } = record;
    await tokens.noteUse(record);
    return { principal: { kind: 'token', tokenId: id, name, scopes, ratePerMinute } };
  }
  const blockedSeconds = await limiters.secondsBlocked(address);
  if (blockedSeconds > 0) {
    await failures.note({ address, requestId, reason: 'blocked' });
    return { refusal: '', blockedSeconds };
  }
  if (isBootstrap(given)) return { principal: BOOTSTRAP };
  await limiters.noteFailure(address);
  await failures.note({ address, requestId, reason: record?.status ?? 'unknown', record });
  const refusal =
    record === undefined
      ? 'this token is not known here'
      : `the token "${record.name}" ${record.status === 'expired' ? 'has expired' : 'was revoked'}`;
  return { refusal, blockedSeconds: 0 };
}

function sendUnauthorized(res: Response, detail: string): void {
  res.set('WWW-Authenticate', ['Bearer realm="maestro"', 'Basic realm="maestro", charset="UTF-8"']);
  sendProblem(res, 401, 'UNAUTHORIZED', { detail, remedy: 'Send `Authorization: Bearer TOKEN`.' });
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
