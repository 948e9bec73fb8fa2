import { make, requireComponent } from './elements.js';
import { formatCount, formatMoment } from './format.js';

/**
 * The days to draw, each with its share of the busiest day.
 *
 * @param {readonly { day: string, clicks: number }[]} daily
 * @returns {{ day: string, clicks: number, share: number }[]}
 */
export function toBars(daily) {
  const busiest = Math.max(1, ...daily.map(({ clicks }) => clicks));
  return daily.map(({ day, clicks }) => ({ day, clicks, share: clicks / busiest }));
}

/**
 * The statistics of one link (US-4).
 *
 * @param {import('./elements.js').PageDocument} document
 */
export function createStatsPanel(document) {
  const content = requireComponent(document, 'stats-content');
  return {
    /** @param {import('./api-client.js').LinkStats} stats */
    show({ code, clicks, lastAccessedAt, daily }) {
      const summary = `${code}: ${formatCount(clicks, 'visit')}, last visit ${formatMoment(lastAccessedAt)}.`;
      const bars = toBars(daily).map((bar) => dayItem(document, bar));
      content.replaceChildren(make(document, 'p', {}, summary), make(document, 'ul', {}, ...bars));
    },
    clear() {
      content.replaceChildren(make(document, 'p', {}, 'Choose “Statistics” beside a link to see its visits.'));
    },
  };
}

/**
 * @param {import('./elements.js').PageDocument} document
 * @param {{ day: string, clicks: number, share: number }} bar
 */
function dayItem(document, { day, clicks, share }) {
  const label = `${day}: ${formatCount(clicks, 'visit')}`;
  const meter = make(document, 'meter', { min: '0', max: '1', value: String(share), 'aria-label': label });
  return make(document, 'li', {}, `${label} `, meter);
}
