import { send, sendJson } from './json-messages.js';
import { toSql } from './sql-export.js';

/**
 * The operations for those who run the service (FR-7, FR-9).
 *
 * @param {import('./link-store.js').LinkStore} store
 * @param {import('./metrics.js').Metrics} metrics
 */
export function createSystemHandlers(store, metrics) {
  const startedAt = Date.now();

  /** @type {import('./router.js').Handler} */
  function getHealth({ response }) {
    const uptimeSeconds = Math.floor((Date.now() - startedAt) / 1000);
    sendJson(response, 200, { status: 'ok', links: store.size, uptimeSeconds });
  }

  /** @type {import('./router.js').Handler} */
  function getMetrics({ response }) {
    send(response, 200, metrics.render({ links: store.size }), 'text/plain; version=0.0.4; charset=utf-8');
  }

  /** @type {import('./router.js').Handler} */
  function exportLinks({ response }) {
    response.setHeader('content-disposition', 'attachment; filename="links.sql"');
    const links = store.list({ limit: store.size, offset: 0 });
    send(response, 200, toSql(links), 'text/plain; charset=utf-8');
  }

  return { getHealth, getMetrics, exportLinks };
}
