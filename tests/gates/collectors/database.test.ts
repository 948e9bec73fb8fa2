import { beforeAll, describe, expect, it } from 'vitest';
import { databaseCollector } from '../../../src/gates/collectors/documents/database.ts';
import type { Sandbox } from '../../../src/shared/sandbox/sandbox.ts';
import { Project, collect, measure as measureWith, readingOf, realSandbox } from './documents-support.ts';

const DEFINED = 'database_schema_defined';
const SAFE = 'database_migration_safe';
const SCHEMA = 'db/schema.sql';
const UP = 'migrations/001_links.up.sql';
const DOWN = 'migrations/001_links.down.sql';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await realSandbox();
});
const measure = (project: Project, metric: string) => measureWith(databaseCollector, project, metric, { sandbox });
const rulesOf = async (project: Project, metric: string): Promise<string[]> =>
  (await collect(databaseCollector, project, [metric], { sandbox })).findings.map((found) => found.rule);

describe('the database collector', () => {
  it('applies a schema and its migrations forward, back and forward', async () => {
    const collected = await collect(databaseCollector, new Project(), [DEFINED, SAFE], { sandbox });
    expect(collected.findings).toEqual([]);
    expect(readingOf(collected, DEFINED)).toEqual({ value: 1, examined: 1 });
    expect(readingOf(collected, SAFE)).toEqual({ value: 1, examined: 2 });
    expect(collected.values[SAFE]?.evidence?.at(-1)).toMatchObject({ tool: 'sqlite', sandbox: sandbox.kind });
  });

  it('wants a primary key in every table', async () => {
    const project = new Project().write(SCHEMA, 'CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (x TEXT);');
    expect(await measure(project, DEFINED)).toEqual({ value: 0, examined: 2 });
    expect(await rulesOf(project, DEFINED)).toEqual(['database/primary-key']);
  });

  it('says what SQLite refuses', async () => {
    const collected = await collect(databaseCollector, new Project().write(SCHEMA, 'CREATE TABLE ('), [DEFINED], {
      sandbox,
    });
    expect(readingOf(collected, DEFINED)).toEqual({ value: 0, examined: 1 });
    expect(collected.findings[0]?.message).toContain('syntax error');
  });

  it('finds a migration without a way back, and says when it drops data', async () => {
    expect(await rulesOf(new Project().remove('migrations/002_index.down.sql'), SAFE)).toEqual(['database/no-down']);
    const dropping = new Project().write('migrations/003_drop.up.sql', 'DELETE FROM links;');
    expect(await rulesOf(dropping, SAFE)).toEqual(['database/drops-data']);
    expect(await measure(dropping, SAFE)).toEqual({ value: 0, examined: 3 });
  });

  it('finds a down migration that leaves something behind', async () => {
    expect(await rulesOf(new Project().write(DOWN, 'SELECT 1;'), SAFE)).toEqual(['database/left-over']);
  });

  it('finds a migration that SQLite refuses, and one that cannot be applied twice', async () => {
    expect(await rulesOf(new Project().write(UP, 'CREATE TABLE links ('), SAFE)).toEqual(['database/migration']);
    expect(await rulesOf(new Project().write(DOWN, 'DROP TABLE gone;'), SAFE)).toEqual(['database/migration']);
  });

  it('compares the result with the schema, whatever the layout of the SQL', async () => {
    const laidOut = new Project().edit(UP, 'CREATE TABLE links (', 'create table links\n(\n');
    expect(await measure(laidOut, SAFE)).toEqual({ value: 1, examined: 2 });
    const drifted = [
      new Project().edit(UP, 'url TEXT NOT NULL', 'url TEXT'),
      new Project().edit(UP, '>= 8', '>= 9'),
      new Project().edit('migrations/002_index.up.sql', '(url)', '(code)'),
      new Project().edit(SCHEMA, 'CREATE INDEX links_by_url ON links (url);', ''),
    ];
    for (const project of drifted) expect(await rulesOf(project, SAFE)).toEqual(['database/schema-drift']);
  });

  it('names files that are no migration', async () => {
    expect(await rulesOf(new Project().write('migrations/more.sql', 'SELECT 1;'), SAFE)).toEqual([
      'database/migration-name',
    ]);
  });

  it('cannot judge without a schema, without a table or without migrations', async () => {
    expect(await measure(new Project().remove(SCHEMA), DEFINED)).toContain(`${SCHEMA} does not exist`);
    expect(await measure(new Project().remove(SCHEMA), SAFE)).toContain(`${SCHEMA} does not exist`);
    expect(await measure(new Project().write(SCHEMA, 'SELECT 1;'), DEFINED)).toContain('creates no table');
    expect(await measure(new Project().remove('migrations'), SAFE)).toContain('no migration was found');
  });

  it('ends SQL that never ends, and has no value', async () => {
    const endless =
      'CREATE TABLE a AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n;';
    expect(await measure(new Project().write(SCHEMA, endless), DEFINED)).toContain('timeout');
  });
});
