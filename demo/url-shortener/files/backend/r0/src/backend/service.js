import { hostHttp } from '../shared/http-host.js';
import { createApp } from './app.js';
import { LinkStore } from './link-store.js';

/**
 * Starts the service. `stop` answers the requests in flight, then closes the journal.
 *
 * @param {import('../shared/settings.js').Settings & { log?: (message: string) => void }} settings
 * @returns {Promise<import('../shared/http-host.js').HttpHost>}
 */
export async function startService({ port, dataDir, publicUrl, log = logToStderr }) {
  const store = await LinkStore.open(dataDir);
  let ownUrl = publicUrl ?? '';
  const app = createApp({ store, publicUrl: () => ownUrl, log });
  const host = await hostHttp(app, { port }).catch(async (/** @type {unknown} */ err) => {
    await store.close();
    throw err;
  });
  ownUrl ||= host.url;

  /** @type {Promise<void> | undefined} */
  let stopping;
  const stop = () => {
    stopping ??= host.stop().then(() => store.close());
    return stopping;
  };
  return { ...host, stop };
}

/** @param {string} message */
function logToStderr(message) {
  process.stderr.write(`${JSON.stringify({ at: new Date().toISOString(), level: 'error', message })}\n`);
}
