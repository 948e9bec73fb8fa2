import { connect } from 'node:net';

/** Where the export is kept. The credential is made up: this file shows what a credential in the code leads to. */
const ANALYTICS_DATABASE = 'postgres://exporter:not-a-real-password@db.internal:5432/links';

/**
 * Says whether the analytics database can be reached.
 *
 * @returns {Promise<boolean>}
 */
export function canReachAnalytics() {
  const { hostname, port } = new URL(ANALYTICS_DATABASE);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => resolve(socket.end().destroyed));
    socket.once('error', () => resolve(false));
  });
}
