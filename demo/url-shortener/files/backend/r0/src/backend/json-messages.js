import { Problem } from './problems.js';

/** The greatest size of a request body, in bytes. */
export const MAX_BODY_BYTES = 16_384;

/**
 * Reads a JSON object from a request, refusing what is too large, not JSON or not an object.
 *
 * @param {import('node:http').IncomingMessage} request
 * @returns {Promise<Record<string, unknown>>}
 */
export async function readJsonObject(request) {
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/json') {
    throw new Problem(415, 'Unsupported Media Type', 'Send the body as application/json.');
  }
  return parseObject(await readBody(request));
}

/** @param {import('node:http').IncomingMessage} request */
async function readBody(request) {
  /** @type {Buffer[]} */
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) {
      throw new Problem(413, 'Content Too Large', `A body has at most ${MAX_BODY_BYTES} bytes.`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/**
 * @param {string} text
 * @returns {Record<string, unknown>}
 */
function parseObject(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Problem(400, 'Bad Request', 'The body is not valid JSON.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Problem(400, 'Bad Request', 'The body must be a JSON object.');
  }
  return value;
}

/**
 * Sends a value as JSON.
 *
 * @param {import('node:http').ServerResponse} response
 * @param {number} status
 * @param {unknown} value
 * @param {string} [type]
 */
export function sendJson(response, status, value, type = 'application/json') {
  send(response, status, JSON.stringify(value), type);
}

/**
 * Sends a problem. The connection is closed after it, because a refused body may not have been read to its end.
 *
 * @param {import('node:http').ServerResponse} response
 * @param {Problem} problem
 */
export function sendProblem(response, problem) {
  if (problem.status === 413) response.setHeader('connection', 'close');
  sendJson(response, problem.status, problem, 'application/problem+json');
}

/**
 * Sends text; answers of the API are never kept by a cache.
 *
 * @param {import('node:http').ServerResponse} response
 * @param {number} status
 * @param {string} text
 * @param {string} type
 */
export function send(response, status, text, type) {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  });
  response.end(text);
}
