const INSERT_LINK = 'INSERT INTO links (code, url, created_at, clicks, last_accessed_at) VALUES';
const INSERT_DAY = 'INSERT INTO daily_clicks (code, day, clicks) VALUES';

/**
 * Writes all links as INSERT statements for the tables of db/schema.sql, in one transaction (FR-9). Tables and columns
 * are constants; everything else is a literal.
 *
 * @param {Iterable<import('./link-store.js').StoredLink>} links
 * @returns {string}
 */
export function toSql(links) {
  const statements = ['BEGIN;'];
  for (const { code, url, createdAt, clicks, lastAccessedAt, daily } of links) {
    statements.push(withValues(INSERT_LINK, [code, url, createdAt, clicks, lastAccessedAt]));
    for (const [day, count] of daily) statements.push(withValues(INSERT_DAY, [code, day, count]));
  }
  statements.push('COMMIT;', '');
  return statements.join('\n');
}

/**
 * @param {string} head
 * @param {readonly (string | number | null)[]} values
 */
function withValues(head, values) {
  return `${head} (${values.map(literal).join(', ')});`;
}

/**
 * A value as a literal: a quote is doubled, which is all that SQLite needs inside a text.
 *
 * @param {string | number | null} value
 */
function literal(value) {
  if (value === null) return 'NULL';
  if (typeof value === 'number') return String(value);
  return `'${value.replaceAll("'", "''")}'`;
}
