import { hostHttp } from './http-host.js';
import { splitTarget } from './request-target.js';
import { applySecurityHeaders } from './security-headers.js';
import { PAGE_MOUNTS, sendStaticFile } from './static-files.js';

/**
 * Serves the page without the service behind it, for work on the page alone. API calls answer 404, and the page
 * says that the service cannot be reached.
 *
 * @param {{ port: number, mounts?: readonly import('./static-files.js').Mount[] }} options
 * @returns {Promise<import('./http-host.js').HttpHost>}
 */
export function startPreview({ port, mounts = PAGE_MOUNTS }) {
  return hostHttp((request, response) => {
    applySecurityHeaders(response);
    const { pathname } = splitTarget(request.url);
    sendStaticFile(mounts, request, response, pathname)
      .then((sent) => {
        if (!sent) response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' }).end('Not found\n');
      })
      .catch((/** @type {unknown} */ err) => response.destroy(err instanceof Error ? err : new Error(String(err))));
  }, { port });
}
