import { sendJson } from './json-messages.js';
import { existing } from './link-handlers.js';

/**
 * Statistics of one link (FR-5): how often it was followed in all, when last, and on which days.
 *
 * @param {import('./link-store.js').LinkStore} store
 * @returns {import('./router.js').Handler}
 */
export function createStatsHandler(store) {
  return ({ response, code }) => {
    const { clicks, lastAccessedAt, daily } = existing(store, code);
    const days = [...daily].map(([day, count]) => ({ day, clicks: count }));
    sendJson(response, 200, { code, clicks, lastAccessedAt, daily: days });
  };
}
