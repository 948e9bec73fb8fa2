import { Problem } from './problems.js';

/**
 * Statistics of one link (FR-5).
 *
 * @param {import('./link-store.js').LinkStore} _store
 * @returns {import('./router.js').Handler}
 */
export function createStatsHandler(_store) {
  // TODO: return the clicks a day once the store keeps them.
  return () => {
    throw new Problem(501, 'Not Implemented', 'Statistics are not implemented yet.');
  };
}
