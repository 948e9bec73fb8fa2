/**
 * Writes all links as INSERT statements for the tables of db/schema.sql, in one transaction (FR-9).
 *
 * @param {Iterable<import('./link-store.js').StoredLink>} links
 * @returns {string}
 */
export function toSql(links) {
  const statements = ['BEGIN;'];
  for (const link of links) {
    const { code, url, createdAt, clicks, lastAccessedAt, daily } = link;
    statements.push(insert('links', { code, url, created_at: createdAt, clicks, last_accessed_at: lastAccessedAt }));
    for (const [day, count] of daily) statements.push(insert('daily_clicks', { code, day, clicks: count }));
  }
  statements.push('COMMIT;', '');
  return statements.join('\n');
}

/**
 * @param {string} table
 * @param {Record<string, string | number | null>} row
 */
function insert(table, row) {
  return `INSERT INTO ${table} (${Object.keys(row).join(', ')}) VALUES (${Object.values(row).map(literal).join(', ')});`;
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
