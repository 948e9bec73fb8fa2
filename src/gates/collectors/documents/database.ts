import { basename } from 'node:path';
import { z } from 'zod';
import { FleetError } from '../../../shared/errors.ts';
import type { Evidence, Finding } from '../../../shared/verdict.ts';
import type { CollectContext } from '../../collector.ts';
import { type DialectReading, dialectOf, driversIn } from './database-dialect.ts';
import { type Reading, defineCollector, finding, measured, notEvaluable, reasonOf } from './define-collector.ts';
import { postgresPrograms } from './postgres-programs.ts';
import { runProbe } from './probe.ts';
import { type ProjectText, readDocument, readProjectFiles } from './project-files.ts';

const SCHEMA_PATH = 'db/schema.sql';
const MIGRATIONS = 'migrations/*.sql';
const UP = /^(\d+)_[\w-]+\.up\.sql$/;

const Fault = z.strictObject({ message: z.string(), line: z.number().int().positive().nullable() });
/** What run-database reports. */
const DatabaseReport = z.strictObject({
  engine: z.string(),
  version: z.string(),
  schema: z.strictObject({
    fault: Fault.nullable(),
    tables: z.array(z.strictObject({ name: z.string(), primaryKey: z.boolean() })),
  }),
  migrations: z.strictObject({
    failures: z.array(z.strictObject({ file: z.string(), error: z.string(), line: Fault.shape.line })),
    /** Names that were left when every down had been applied. */
    leftOver: z.array(z.string()),
    /** Names whose definition differs between the migrations' end and the schema. */
    differences: z.array(z.string()),
    ran: z.number().int(),
  }),
});

interface Database {
  schema: ProjectText | undefined;
  ups: ProjectText[];
  downs: ProjectText[];
  strays: string[];
  report: z.infer<typeof DatabaseReport> | undefined;
  /** Which database it is for, and what says so. */
  chosen: DialectReading | undefined;
  problem: string | undefined;
  evidence: Evidence[];
}

const downOf = (up: ProjectText): string => up.path.replace(/\.up\.sql$/, '.down.sql');
const MANIFESTS = ['package.json', 'pyproject.toml', 'setup.cfg', 'requirements*.txt', 'requirements/*.txt'];

async function prepare(context: CollectContext): Promise<Database> {
  const schema = await readDocument(context, 'database_schema', SCHEMA_PATH);
  const migrations = await readProjectFiles(context.root, [MIGRATIONS]);
  const ups = migrations.filter((file) => UP.test(basename(file.path)));
  const downs = migrations.filter((file) => ups.some((up) => downOf(up) === file.path));
  const strays = migrations.filter((file) => !ups.includes(file) && !downs.includes(file)).map((file) => file.path);
  const base = { schema, ups, downs, strays, report: undefined, problem: undefined, evidence: [] };
  if (schema === undefined) return { ...base, chosen: undefined };
  const drivers = driversIn(await readProjectFiles(context.root, MANIFESTS));
  const chosen = dialectOf({ schema, migrations, drivers });
  if ('notEvaluable' in chosen) return { ...base, chosen, problem: chosen.notEvaluable };
  const place = chosen.dialect === 'postgresql' ? await postgresPrograms(context) : undefined;
  try {
    const { report, evidence } = await runProbe(context, {
      script: 'run-database',
      input: {
        engine: place === undefined ? { name: 'sqlite' } : { name: 'postgresql', programs: place.programs },
        schema,
        steps: ups.map((up) => ({ up, down: downs.find((down) => down.path === downOf(up)) ?? null })),
      },
      report: DatabaseReport,
      limits: { wallMs: place === undefined ? 10_000 : 60_000, memoryBytes: 1024 ** 3 },
      ...(place === undefined ? {} : { mounts: place.mounts, env: place.env }),
    });
    const summary = `rehearsed on ${report.engine}, because ${chosen.because}`;
    const tool = chosen.dialect;
    return { ...base, chosen, report, evidence: [{ ...evidence, summary, tool, toolVersion: report.version }] };
  } catch (err) {
    if (!(err instanceof FleetError) || err.code === 'SANDBOX_UNAVAILABLE') throw err;
    return { ...base, chosen, problem: reasonOf(err) };
  }
}

function unmeasured({ schema, chosen, problem }: Database, metric: string): Reading {
  if (schema === undefined)
    return notEvaluable(
      metric,
      'database/missing',
      `${SCHEMA_PATH} does not exist: write the whole schema there in SQL`,
      {
        file: SCHEMA_PATH,
      },
    );
  if (chosen !== undefined && 'notEvaluable' in chosen)
    return notEvaluable(metric, 'database/dialect', chosen.notEvaluable, { file: schema.path, line: 1 });
  return notEvaluable(
    metric,
    'database/probe',
    `the schema could not be applied in the sandbox: ${problem ?? 'no report'}`,
    { file: schema.path },
  );
}

function schemaDefined(data: Database, metric: string): Reading {
  const { schema, report } = data;
  if (schema === undefined || report === undefined) return unmeasured(data, metric);
  const { fault, tables } = report.schema;
  if (fault !== null) {
    const place = { file: schema.path, line: fault.line ?? 1 };
    const refused = measured(0, 1, `${schema.path} does not apply: ${fault.message}`, {
      kind: 'command',
      findings: [finding(metric, 'database/sql', `${report.engine} refuses it: ${fault.message}`, place)],
    });
    return withEvidence(data, refused);
  }
  if (tables.length === 0) {
    return notEvaluable(metric, 'database/no-table', `${schema.path} creates no table`, { file: schema.path });
  }
  const findings = tables
    .filter((table) => !table.primaryKey)
    .map((table) =>
      finding(metric, 'database/primary-key', `table ${table.name} has no primary key`, { file: schema.path, line: 1 }),
    );
  return withEvidence(
    data,
    measured(
      findings.length === 0 ? 1 : 0,
      tables.length,
      `${schema.path} applies and creates ${tables.length} tables`,
      {
        kind: 'command',
        findings,
      },
    ),
  );
}

const DROPS = /\b(?:drop\s+table|drop\s+column|delete\s+from|truncate)\b/i;

function migrationFindings(data: Database, metric: string): Finding[] {
  const withoutDown = data.ups
    .filter((up) => !data.downs.some((down) => down.path === downOf(up)))
    .map((up) =>
      finding(
        metric,
        DROPS.test(up.text) ? 'database/drops-data' : 'database/no-down',
        DROPS.test(up.text)
          ? 'drops data and has no down migration to bring its tables back'
          : 'has no down migration beside it',
        { file: up.path, line: 1 },
      ),
    );
  const strays = data.strays.map((path) =>
    finding(metric, 'database/migration-name', 'is not read: name migrations NNN_name.up.sql and NNN_name.down.sql', {
      file: path,
    }),
  );
  const migrations = data.report?.migrations;
  const failures = (migrations?.failures ?? []).map((step) =>
    finding(metric, 'database/migration', step.error, { file: step.file, line: step.line ?? 1 }),
  );
  const left = (migrations?.leftOver ?? []).map((name) =>
    finding(metric, 'database/left-over', `${name} is still there after every down migration`, {
      file: data.downs.at(0)?.path,
    }),
  );
  const differences = (migrations?.differences ?? []).map((name) =>
    finding(metric, 'database/schema-drift', `${name} differs between the migrations' result and ${SCHEMA_PATH}`, {
      file: data.schema?.path,
      line: 1,
    }),
  );
  return [...withoutDown, ...strays, ...failures, ...left, ...differences];
}

function migrationSafe(data: Database, metric: string): Reading {
  if (data.report === undefined) return unmeasured(data, metric);
  if (data.ups.length === 0) {
    return notEvaluable(
      metric,
      'database/no-migration',
      'no migration was found: write migrations/001_name.up.sql and migrations/001_name.down.sql',
      { file: 'migrations' },
    );
  }
  const findings = migrationFindings(data, metric);
  return withEvidence(
    data,
    measured(
      findings.length === 0 ? 1 : 0,
      data.ups.length,
      `${data.ups.length} migrations applied forward, back and forward on ${data.report.engine}, and compared with ${SCHEMA_PATH}`,
      { kind: 'command', findings },
    ),
  );
}

function withEvidence(data: Database, reading: Reading): Reading {
  return { ...reading, value: { ...reading.value, evidence: [...(reading.value.evidence ?? []), ...data.evidence] } };
}

/** Applies schema and migrations to a real SQLite or PostgreSQL inside the sandbox. */
export const databaseCollector = defineCollector({
  id: 'database',
  version: '2',
  timeoutMs: 120_000,
  prepare,
  measures: {
    database_schema_defined: (data, _, metric) => schemaDefined(data, metric),
    database_migration_safe: (data, _, metric) => migrationSafe(data, metric),
  },
});
