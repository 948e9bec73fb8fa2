import { createApiClient, messageOf } from './api-client.js';
import { createLinkForm } from './create-form.js';
import { requireComponent } from './elements.js';
import { formatCount } from './format.js';
import { createLinkTable } from './link-table.js';
import { createStatsPanel } from './stats-panel.js';
import { createStatusMessage } from './status-message.js';

/** @typedef {import('./api-client.js').LinkView} LinkView */

/**
 * What the page needs of its surroundings.
 *
 * @typedef {object} Surroundings
 * @property {import('./elements.js').PageDocument} document
 * @property {typeof globalThis.fetch} fetch
 * @property {(text: string) => Promise<void>} copy
 */

/**
 * Puts the components together and loads the links.
 *
 * @param {Surroundings} surroundings
 */
export async function startPage({ document, fetch, copy }) {
  const api = createApiClient(fetch);
  const status = createStatusMessage(requireComponent(document, 'status-message'));
  const serviceState = requireComponent(document, 'service-state');
  const stats = createStatsPanel(document);
  const filterField = requireComponent(document, 'filter-field');
  const table = createLinkTable(document, { onCopy: copyLink, onStats: showStats, onDelete: deleteLink });
  /** @type {{ links: LinkView[], total: number }} */
  let loaded = { links: [], total: 0 };

  const showTable = () => table.show(loaded.links, { total: loaded.total, filter: filterField.value ?? '' });

  /**
   * Does something with the service and says how it went.
   *
   * @param {() => Promise<string>} action
   * @returns {Promise<boolean>} whether it went well
   */
  async function attempt(action) {
    try {
      status.info(await action());
      return true;
    } catch (err) {
      status.error(messageOf(err));
      return false;
    }
  }

  async function reload() {
    loaded = await api.listLinks();
    showTable();
  }

  async function showHealth() {
    try {
      const { links } = await api.getHealth();
      serviceState.textContent = `Service is up, ${formatCount(links, 'link')}.`;
    } catch (err) {
      serviceState.textContent = messageOf(err);
    }
  }

  const refresh = () =>
    attempt(async () => {
      await reload();
      return 'The list is up to date.';
    });

  /** @param {LinkView} link */
  function copyLink({ shortUrl }) {
    return copy(shortUrl).then(
      () => status.info(`${shortUrl} is copied.`),
      () => status.error('The browser did not allow copying.'),
    );
  }

  /** @param {LinkView} link */
  function showStats({ code }) {
    return attempt(async () => {
      stats.show(await api.getLinkStats(code));
      return `Statistics of ${code} are shown below the list.`;
    });
  }

  /** @param {LinkView} link */
  function deleteLink({ code }) {
    return attempt(async () => {
      await api.deleteLink(code);
      stats.clear();
      await reload();
      return `${code} is deleted.`;
    });
  }

  const form = createLinkForm(document, (wish) =>
    attempt(async () => {
      const link = await api.createLink(wish);
      await reload();
      return `${link.shortUrl} now leads to ${link.url}`;
    }),
  );
  filterField.addEventListener('input', showTable);
  requireComponent(document, 'refresh-button').addEventListener('click', () => void refresh());

  showTable();
  await Promise.all([showHealth(), refresh()]);
  return { form, refresh };
}
