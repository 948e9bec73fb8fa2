import { checkAlias, checkTarget } from '../shared/link-rules.js';
import { readJsonObject, send, sendJson } from './json-messages.js';
import { AliasTakenError } from './link-store.js';
import { linkNotFound, Problem } from './problems.js';

const DEFAULT_LIMIT = 50;
const HIGHEST_LIMIT = 100;

/**
 * The operations on links (FR-1 to FR-6).
 *
 * @param {import('./link-store.js').LinkStore} store
 * @param {() => string} publicUrl The address that short links begin with; known once the server listens.
 */
export function createLinkHandlers(store, publicUrl) {
  /** @param {import('./link-store.js').Link} link */
  const view = ({ code, url, createdAt, clicks, lastAccessedAt }) => {
    return { code, url, shortUrl: `${publicUrl()}/${code}`, createdAt, clicks, lastAccessedAt };
  };

  /** @type {import('./router.js').Handler} */
  async function createLink({ request, response }) {
    const { link, isNew } = await createFrom(store, await readJsonObject(request));
    if (isNew) response.setHeader('location', `/api/links/${link.code}`);
    sendJson(response, isNew ? 201 : 200, view(link));
  }

  /** @type {import('./router.js').Handler} */
  function listLinks({ response, query }) {
    const limit = readInteger(query, 'limit', { fallback: DEFAULT_LIMIT, min: 1, max: HIGHEST_LIMIT });
    const offset = readInteger(query, 'offset', { fallback: 0, min: 0, max: Number.MAX_SAFE_INTEGER });
    sendJson(response, 200, { links: store.list({ limit, offset }).map(view), total: store.size });
  }

  /** @type {import('./router.js').Handler} */
  function getLink({ response, code }) {
    sendJson(response, 200, view(existing(store, code)));
  }

  /** @type {import('./router.js').Handler} */
  async function deleteLink({ response, code }) {
    const removed = await store.remove(code);
    if (removed === undefined) throw linkNotFound(code);
    sendJson(response, 200, view(removed));
  }

  /** @type {import('./router.js').Handler} */
  async function followLink({ request, response, code }) {
    const { url } = existing(store, code);
    if (request.method === 'GET') await store.recordClick(code);
    response.setHeader('location', url);
    send(response, 302, `Redirecting to ${url}\n`, 'text/plain; charset=utf-8');
  }

  return { createLink, listLinks, getLink, deleteLink, followLink };
}

/**
 * Finds a link, or answers that there is none.
 *
 * @param {import('./link-store.js').LinkStore} store
 * @param {string} code
 * @returns {import('./link-store.js').StoredLink}
 */
export function existing(store, code) {
  const link = store.get(code);
  if (link === undefined) throw linkNotFound(code);
  return link;
}

/**
 * @param {import('./link-store.js').LinkStore} store
 * @param {Record<string, unknown>} body
 */
async function createFrom(store, body) {
  const url = accepted(checkTarget(body['url']));
  const alias = body['alias'] === undefined ? undefined : accepted(checkAlias(body['alias']));
  try {
    return await store.create({ url, alias });
  } catch (err) {
    if (err instanceof AliasTakenError) throw new Problem(409, 'Conflict', err.message);
    throw err;
  }
}

/** @param {import('../shared/link-rules.js').RuleResult} result */
function accepted(result) {
  if ('reason' in result) throw new Problem(422, 'Unprocessable Content', result.reason);
  return result.value;
}

/**
 * @param {URLSearchParams} query
 * @param {string} name
 * @param {{ fallback: number, min: number, max: number }} bounds
 */
function readInteger(query, name, { fallback, min, max }) {
  const text = query.get(name);
  if (text === null) return fallback;
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < min || value > max) {
    throw new Problem(400, 'Bad Request', `"${name}" must be a whole number from ${min} to ${max}.`);
  }
  return value;
}
