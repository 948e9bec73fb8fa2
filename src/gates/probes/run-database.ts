/**
 * Applies a schema and migrations to SQLite. Reads `{ schema, steps }` from stdin, prints one JSON report.
 * It runs in the sandbox because the SQL is hostile: it may loop or eat memory.
 */
import { readFileSync } from 'node:fs';
import initSqlJs, { type Database } from 'sql.js';
import { z } from 'zod';

const File = z.object({ path: z.string(), text: z.string() });
const Input = z.object({ schema: File, steps: z.array(z.object({ up: File, down: File.nullable() })) });

const message = (err: unknown): string => (err instanceof Error ? err.message : String(err));
const input = Input.parse(JSON.parse(readFileSync(0, 'utf8')));
const sqlite = await initSqlJs();

const rows = (db: Database, sql: string, parameters: string[] = []): string[][] =>
  (db.exec(sql, parameters)[0]?.values ?? []).map((row) => row.map(String));

const sorted = (values: string[][]): string[][] => values.toSorted((a, b) => a.join().localeCompare(b.join()));

/** Every object of a database, with a description that does not depend on how its SQL was laid out. */
function describe(db: Database): Map<string, string> {
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

function schemaReport(): {
  db: Database;
  report: { error: string | null; tables: { name: string; primaryKey: boolean }[] };
} {
  const db = new sqlite.Database();
  try {
    db.exec(input.schema.text);
  } catch (err) {
    return { db, report: { error: message(err), tables: [] } };
  }
  const names = rows(
    db,
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
  );
  const tables = names.map(([name = '']) => ({
    name,
    primaryKey: rows(db, 'SELECT name FROM pragma_table_info(?) WHERE pk > 0', [name]).length > 0,
  }));
  return { db, report: { error: null, tables } };
}

const failures: { file: string; error: string }[] = [];
let ran = 0;

function apply(db: Database, file: { path: string; text: string }, round: string): boolean {
  try {
    db.exec('PRAGMA foreign_keys = ON');
    db.exec(file.text);
    ran += 1;
    return true;
  } catch (err) {
    failures.push({ file: file.path, error: `${round}: SQLite refuses it: ${message(err)}` });
    return false;
  }
}

const schema = schemaReport();
const db = new sqlite.Database();
let leftOver: string[] = [];
let differences: string[] = [];
const downs = input.steps.flatMap((step) => step.down ?? []).toReversed();
if (input.steps.length > 0) {
  const up = (round: string): boolean => input.steps.every((step) => apply(db, step.up, round));
  let isUp = up('the first time forward');
  if (isUp && downs.length === input.steps.length) {
    isUp = downs.every((file) => apply(db, file, 'on the way back'));
    if (isUp) leftOver = [...describe(db).keys()];
    isUp = isUp && leftOver.length === 0 && up('the second time forward');
  }
  if (isUp && schema.report.error === null) {
    const wanted = describe(schema.db);
    const got = describe(db);
    differences = [...new Set([...wanted.keys(), ...got.keys()])].filter((name) => wanted.get(name) !== got.get(name));
  }
}
const version = rows(db, 'SELECT sqlite_version()')[0]?.[0] ?? 'unknown';
process.stdout.write(
  JSON.stringify({ sqlite: version, schema: schema.report, migrations: { failures, leftOver, differences, ran } }),
);
