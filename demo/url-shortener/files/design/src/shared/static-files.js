import { readFile } from 'node:fs/promises';
import path from 'node:path';

/**
 * A folder that is served under a path prefix. With `only`, nothing else of the folder is served.
 *
 * @typedef {object} Mount
 * @property {string} prefix Begins and ends with a slash.
 * @property {string} folder Absolute.
 * @property {readonly string[]} [only]
 */

const CONTENT_TYPES = new Map([
  ['.css', 'text/css; charset=utf-8'],
  ['.html', 'text/html; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.svg', 'image/svg+xml'],
]);

const sourceFolder = path.resolve(import.meta.dirname, '..');

/**
 * What a browser may load: the page, and the one shared file it imports.
 *
 * @type {readonly Mount[]}
 */
export const PAGE_MOUNTS = Object.freeze([
  { prefix: '/shared/', folder: path.join(sourceFolder, 'shared'), only: ['link-rules.js'] },
  { prefix: '/', folder: path.join(sourceFolder, 'frontend') },
]);

/**
 * Finds the file for a request path. Never leaves the mounted folders, and knows only the listed file types.
 *
 * @param {readonly Mount[]} mounts
 * @param {string} pathname The path of the request URL, still percent-encoded.
 * @returns {{ file: string, type: string } | undefined}
 */
export function locateFile(mounts, pathname) {
  const mount = mounts.find(({ prefix }) => pathname.startsWith(prefix));
  if (mount === undefined) return undefined;
  const name = pathname === '/' ? 'index.html' : pathname.slice(mount.prefix.length);
  const type = CONTENT_TYPES.get(path.extname(name));
  const isPlain = name.split('/').every((part) => /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(part));
  if (type === undefined || !isPlain) return undefined;
  if (mount.only !== undefined && !mount.only.includes(name)) return undefined;
  return { file: path.join(mount.folder, name), type };
}

/**
 * Answers a GET or HEAD request with a file, if there is one for it.
 *
 * @param {readonly Mount[]} mounts
 * @param {{ method?: string | undefined }} request
 * @param {import('node:http').ServerResponse} response
 * @param {string} pathname
 * @returns {Promise<boolean>} whether the request was answered
 */
export async function sendStaticFile(mounts, request, response, pathname) {
  if (request.method !== 'GET' && request.method !== 'HEAD') return false;
  const found = locateFile(mounts, pathname);
  if (found === undefined) return false;
  const content = await readIfPresent(found.file);
  if (content === undefined) return false;
  response.writeHead(200, {
    'content-type': found.type,
    'content-length': content.byteLength,
    'cache-control': 'no-cache',
  });
  response.end(content);
  return true;
}

/** @param {string} file */
async function readIfPresent(file) {
  try {
    return await readFile(file);
  } catch (err) {
    if (err instanceof Error && 'code' in err && err.code === 'ENOENT') return undefined;
    throw err;
  }
}
