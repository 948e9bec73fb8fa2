import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Links, isAddress } from './links.js';

const frontend = new URL('../frontend/', import.meta.url);
const page = readFileSync(new URL('index.html', frontend));
const script = readFileSync(new URL('app.js', frontend));

/**
 * @param {import('node:http').ServerResponse} response
 * @param {number} status
 * @param {object} body
 * @param {Record<string, string>} headers
 */
function json(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

/** @param {import('node:http').IncomingMessage} request */
async function readUrl(request) {
  let text = '';
  for await (const piece of request) {
    text += piece;
  }
  return JSON.parse(text)?.url;
}

/**
 * @param {Links} links
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 */
async function create(links, request, response) {
  try {
    const url = await readUrl(request);
    if (!isAddress(url)) {
      json(response, 422, { error: 'url is not an address' });
      return;
    }
    const code = links.add(url);
    json(response, 201, { code, url }, { location: `/links/${code}` });
  } catch {
    json(response, 400, { error: 'the body is not JSON' });
  }
}

/**
 * @param {Links} links
 * @param {string} method
 * @param {string} path
 * @param {import('node:http').ServerResponse} response
 */
function answerLink(links, method, path, response) {
  const [, route = '', code = ''] = /^\/(links|r)\/([a-z0-9]+)$/.exec(path) ?? [];
  const url = links.find(code);
  if (url === undefined) {
    json(response, 404, { error: 'there is no such link' });
  } else if (route === 'r') {
    response.writeHead(302, { location: url }).end();
  } else if (method === 'DELETE') {
    links.remove(code);
    response.writeHead(204).end();
  } else {
    json(response, 200, { code, url });
  }
}

/** Makes the HTTP server; the caller says where it listens. */
export function makeServer() {
  const links = new Links();
  let served = 0;
  /** @type {Record<string, (response: import('node:http').ServerResponse) => void>} */
  const fixed = {
    '/': (response) => response.writeHead(200, { 'content-type': 'text/html' }).end(page),
    '/app.js': (response) => response.writeHead(200, { 'content-type': 'text/javascript' }).end(script),
    '/favicon.ico': (response) => response.writeHead(204).end(),
    '/health': (response) => json(response, 200, { status: 'ok' }),
    '/metrics': (response) =>
      response.writeHead(200, { 'content-type': 'text/plain' }).end(`http_requests_total{app="links"} ${served}\n`),
  };
  return createServer((request, response) => {
    served += 1;
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const answer = Object.hasOwn(fixed, pathname) ? fixed[pathname] : undefined;
    if (answer) {
      answer(response);
    } else if (pathname === '/links' && request.method === 'POST') {
      void create(links, request, response);
    } else {
      answerLink(links, request.method ?? 'GET', pathname, response);
    }
  });
}
