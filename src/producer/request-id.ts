import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { RequestHandler } from 'express';

const ids = new WeakMap<IncomingMessage, string>();

/** What a caller may name its own request; anything else gets a name from here. */
const GIVEN = /^[\w.:-]{1,100}$/;

/** Names every request, in its answer and in the log. */
export const nameRequest: RequestHandler = (req, res, next) => {
  const given = req.get('x-request-id');
  const id = given !== undefined && GIVEN.test(given) ? given : randomUUID();
  ids.set(req, id);
  res.set('X-Request-Id', id);
  next();
};

export const requestIdOf = (req: IncomingMessage): string => ids.get(req) ?? '';
