import initSqlJs, { type Database as Connection } from 'sql.js';
import type { Database, Engine } from './database-rehearsal.ts';

const rows = (db: Connection, sql: string, parameters: string[] = []): string[][] =>
  (db.exec(sql, parameters)[0]?.values ?? []).map((row) => row.map(String));

const sorted = (values: string[][]): string[][] => values.toSorted((a, b) => a.join().localeCompare(b.join()));

function describe(db: Connection): Map<string, string> {
  const objects = rows(
    db,
    "SELECT type, name, coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name",
  );
  return new Map(
    objects.map(([type = '', name = '', sql = '']) => {
      const columns = rows(db, 'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)', [
        name,
      ]);
      const foreign = rows(db, 'SELECT "table", "from", "to", on_update, on_delete FROM pragma_foreign_key_list(?)', [
        name,
      ]);
      const indexes = rows(db, 'SELECT "unique", origin, partial FROM pragma_index_list(?) WHERE origin <> \'c\'', [
        name,
      ]);
      const text = type === 'table' ? checksOf(sql) : sql.replace(/\s+/g, ' ').toLowerCase();
      return [`${type} ${name}`, JSON.stringify([sorted(columns), sorted(foreign), sorted(indexes), text])];
    }),
  );
}

/** The text up to the bracket that closes what was open before it. */
function upToClosing(text: string): string {
  let depth = 1;
  const end = text.split('').findIndex((letter) => {
    if (letter === '(') depth += 1;
    if (letter === ')') depth -= 1;
    return depth === 0;
  });
  return text.slice(0, end);
}

/** CHECK constraints and table options stand in no pragma, so they are compared as text. */
const checksOf = (sql: string): string[] => {
  const flat = sql
    .replace(/--[^\n]*/g, '')
    .replace(/\s+/g, '')
    .toLowerCase();
  const checks = [...flat.matchAll(/check\(/g)].map((match) => upToClosing(flat.slice(match.index + match[0].length)));
  return [...checks.toSorted(), ...(flat.match(/withoutrowid$|strict$/g) ?? [])];
};

function wrap(db: Connection): Database {
  return {
    apply: async (text) => {
      try {
        db.exec('PRAGMA foreign_keys = ON');
        db.exec(text);
        return undefined;
      } catch (err) {
        return { message: err instanceof Error ? err.message : String(err), line: null };
      }
    },
    describe: async () => describe(db),
    tables: async () =>
      rows(db, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name").map(
        ([name = '']) => ({
          name,
          primaryKey: rows(db, 'SELECT name FROM pragma_table_info(?) WHERE pk > 0', [name]).length > 0,
        }),
      ),
  };
}

/** SQLite in this process, with databases in memory. */
export async function openSqlite(): Promise<Engine> {
  const sqlite = await initSqlJs();
  const version = rows(new sqlite.Database(), 'SELECT sqlite_version()')[0]?.[0] ?? 'unknown';
  return { name: 'SQLite', version, create: async () => wrap(new sqlite.Database()) };
}
