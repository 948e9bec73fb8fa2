/**
 * Applies a schema and migrations to SQLite or PostgreSQL. Reads `{ engine, schema, steps }` from stdin, prints one
 * JSON report. It runs in the sandbox because the SQL is hostile: it may loop or eat memory.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { openPostgres } from './database-postgres.ts';
import { type Engine, type Rehearsal, type SqlFile, type Step, rehearse } from './database-rehearsal.ts';
import { openSqlite } from './database-sqlite.ts';

const File = z.object({ path: z.string(), text: z.string() });
const Input = z.object({
  engine: z.discriminatedUnion('name', [
    z.object({ name: z.literal('sqlite') }),
    z.object({ name: z.literal('postgresql'), programs: z.string() }),
  ]),
  schema: File,
  steps: z.array(z.object({ up: File, down: File.nullable() })),
});
type Input = z.infer<typeof Input>;

const sql = (text: string): SqlFile => ({ path: '', text });

/** Proves before every use that this server shows what is left behind and what differs. */
async function proveEyes(postgres: Engine): Promise<void> {
  const up = sql('CREATE TABLE a (id INT)');
  const wanted = sql('CREATE TABLE a (id INT PRIMARY KEY)');
  const left = await rehearse(postgres, wanted, [{ up, down: sql('SELECT 1') }]);
  const drifted = await rehearse(postgres, wanted, [{ up, down: sql('DROP TABLE a') }]);
  if (left.migrations.leftOver.length > 0 && drifted.migrations.differences.length > 0) return;
  throw new Error(`${postgres.name} ${postgres.version} does not show planted defects`);
}

async function rehearseOn(engine: Input['engine'], schema: SqlFile, steps: readonly Step[]): Promise<Rehearsal> {
  if (engine.name === 'sqlite') return rehearse(await openSqlite(), schema, steps);
  const postgres = await openPostgres(engine.programs);
  try {
    await proveEyes(postgres);
    return await rehearse(postgres, schema, steps);
  } finally {
    await postgres.stop();
  }
}

const { engine, schema, steps } = Input.parse(JSON.parse(readFileSync(0, 'utf8')));
process.stdout.write(JSON.stringify(await rehearseOn(engine, schema, steps)));
