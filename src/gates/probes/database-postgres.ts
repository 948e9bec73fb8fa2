import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Database, Engine, SqlFault } from './database-rehearsal.ts';
import { PostgresError, connect } from './postgres-wire.ts';

const START_MS = 30_000;
/** Owns the databases and nothing else: it can neither run programs nor read files. */
const OWNER = 'project';
const ADMIN = 'postgres';

/** Every user object, what belongs to an extension aside; constraints by what they say, whatever their names. */
const OBJECTS = `
WITH own AS (SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),
  foreign_members AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
  relations AS (
    SELECT c.oid, c.relkind, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
    FROM pg_class c JOIN own n ON n.oid = c.relnamespace
    WHERE NOT EXISTS (SELECT 1 FROM foreign_members m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid))
SELECT 'schema ' || quote_ident(nspname), '' FROM own WHERE nspname <> 'public'
UNION ALL SELECT 'extension ' || extname, '' FROM pg_extension WHERE extname <> 'plpgsql'
UNION ALL SELECT CASE r.relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' WHEN 'f' THEN 'foreign table ' ELSE 'table ' END || r.name,
  concat_ws(chr(10), CASE WHEN r.relkind IN ('v', 'm') THEN pg_get_viewdef(r.oid) END,
    CASE WHEN r.relkind = 'p' THEN pg_get_partkeydef(r.oid) END,
    (SELECT string_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN 'not null' END, a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid),
        CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END), chr(10) ORDER BY a.attname)
      FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped),
    (SELECT string_agg(pg_get_constraintdef(k.oid), chr(10) ORDER BY pg_get_constraintdef(k.oid))
      FROM pg_constraint k WHERE k.conrelid = r.oid),
    (SELECT string_agg(concat_ws(' ', p.polname, p.polcmd, pg_get_expr(p.polqual, p.polrelid)), chr(10) ORDER BY p.polname)
      FROM pg_policy p WHERE p.polrelid = r.oid))
  FROM relations r WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f')
UNION ALL SELECT 'sequence ' || r.name, concat_ws(' ', format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle)
  FROM relations r JOIN pg_sequence s ON s.seqrelid = r.oid
UNION ALL SELECT 'index ' || r.name, pg_get_indexdef(i.indexrelid) FROM relations r JOIN pg_index i ON i.indexrelid = r.oid
  WHERE NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
UNION ALL SELECT 'trigger ' || quote_ident(g.tgname) || ' on ' || r.name, pg_get_triggerdef(g.oid)
  FROM relations r JOIN pg_trigger g ON g.tgrelid = r.oid WHERE NOT g.tgisinternal
UNION ALL SELECT 'function ' || f.oid::regprocedure::text, CASE WHEN f.prokind = 'a' THEN 'aggregate' ELSE pg_get_functiondef(f.oid) END
  FROM pg_proc f JOIN own n ON n.oid = f.pronamespace
  WHERE NOT EXISTS (SELECT 1 FROM foreign_members m WHERE m.classid = 'pg_proc'::regclass AND m.objid = f.oid)
UNION ALL SELECT 'type ' || y.oid::regtype::text, concat_ws(' ', y.typtype, format_type(nullif(y.typbasetype, 0), y.typtypmod), y.typnotnull, y.typdefault,
    (SELECT string_agg(quote_literal(e.enumlabel), ',' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = y.oid),
    (SELECT string_agg(pg_get_constraintdef(k.oid), ',' ORDER BY pg_get_constraintdef(k.oid)) FROM pg_constraint k WHERE k.contypid = y.oid),
    (SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ',' ORDER BY a.attnum)
      FROM pg_attribute a WHERE a.attrelid = y.typrelid AND NOT a.attisdropped))
  FROM pg_type y JOIN own n ON n.oid = y.typnamespace LEFT JOIN pg_class c ON c.oid = y.typrelid
  WHERE (y.typtype IN ('e', 'd', 'r') OR (y.typtype = 'c' AND c.relkind = 'c'))
    AND NOT EXISTS (SELECT 1 FROM foreign_members m WHERE m.classid = 'pg_type'::regclass AND m.objid = y.oid)`;

const TABLES = `
SELECT CASE WHEN n.nspname = 'public' THEN c.relname ELSE n.nspname || '.' || c.relname END,
  EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT 1 FROM pg_depend m WHERE m.deptype = 'e' AND m.classid = 'pg_class'::regclass AND m.objid = c.oid)
ORDER BY 1`;

/** Starts a PostgreSQL of its own, reached by a socket in a private folder and by nothing else. */
export async function openPostgres(programs: string): Promise<Engine & { stop: () => Promise<void> }> {
  const home = mkdtempSync(join(tmpdir(), 'pg-'));
  const [data, sockets] = [join(home, 'data'), join(home, 's')];
  mkdirSync(sockets, { mode: 0o700 });
  const initialise = ['-D', data, '-U', ADMIN, '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-sync'];
  execFileSync(join(programs, 'initdb'), initialise, { stdio: ['ignore', 'ignore', 'pipe'] });
  const settings = ['listen_addresses=', 'fsync=off', 'max_connections=10', 'shared_buffers=16MB', 'timezone=UTC'];
  const argv = ['-D', data, '-k', sockets, ...settings.flatMap((setting) => ['-c', setting])];
  const server = spawn(join(programs, 'postgres'), argv, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  server.stderr.on('data', (chunk: Buffer) => {
    said = `${said}${chunk.toString('utf8')}`.slice(-4000);
  });
  const path = join(sockets, '.s.PGSQL.5432');
  const ask = async (user: string, database: string, sql: string): Promise<string[][]> => {
    const connection = await connect(path, user, database);
    try {
      return await connection.query(sql);
    } finally {
      connection.end();
    }
  };
  const version = await untilReady(
    server,
    () => ask(ADMIN, 'postgres', 'SHOW server_version'),
    () => said,
  );
  await ask(ADMIN, 'postgres', `CREATE ROLE ${OWNER} LOGIN`);
  let made = 0;
  return {
    name: 'PostgreSQL',
    version: version[0]?.[0] ?? 'unknown',
    create: async () => {
      const name = `rehearsal_${(made += 1)}`;
      await ask(ADMIN, 'postgres', `CREATE DATABASE ${name} OWNER ${OWNER}`);
      await ask(ADMIN, name, `ALTER SCHEMA public OWNER TO ${OWNER}`);
      return databaseIn((user, sql) => ask(user, name, sql));
    },
    stop: () => stopped(server),
  };
}

function databaseIn(ask: (user: string, sql: string) => Promise<string[][]>): Database {
  // No object of the project can stand in for one of the catalogue.
  const read = (sql: string): Promise<string[][]> => ask(ADMIN, `SET search_path = pg_catalog; ${sql}`);
  return {
    // A connection for every file, as a migration runner would have: what one file sets ends with it.
    apply: async (text) => {
      try {
        await ask(OWNER, text);
        return undefined;
      } catch (err) {
        return faultOf(err, text);
      }
    },
    describe: async () => new Map((await read(OBJECTS)).map(([name = '', text = '']) => [name, text])),
    tables: async () => (await read(TABLES)).map(([name = '', key]) => ({ name, primaryKey: key === 't' })),
  };
}

function faultOf(err: unknown, text: string): SqlFault {
  if (!(err instanceof PostgresError)) throw err;
  const line =
    err.position === undefined
      ? null
      : Array.from(text)
          .slice(0, err.position - 1)
          .join('')
          .split('\n').length;
  return { message: err.message, line };
}

async function untilReady<T>(server: ChildProcess, attempt: () => Promise<T>, said: () => string): Promise<T> {
  for (const began = Date.now(); ;) {
    try {
      return await attempt();
    } catch (err) {
      if (server.exitCode !== null || Date.now() - began > START_MS)
        throw new Error(`PostgreSQL did not start: ${said().trim() || String(err)}`, { cause: err });
      await sleep(50);
    }
  }
}

async function stopped(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = new Promise((resolve) => server.once('exit', resolve));
  // SIGQUIT is the immediate shutdown: the data are gone with the sandbox anyway.
  server.kill('SIGQUIT');
  await ended;
}
