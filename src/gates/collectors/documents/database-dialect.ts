import { z } from 'zod';
import { parseYaml } from '../../../shared/yaml-file.ts';
import type { ProjectText } from './project-files.ts';

/** The databases that schemas and migrations are rehearsed on. */
export type Dialect = 'sqlite' | 'postgresql';

/** What says which database a project is for, in words. */
export type DialectReading = { dialect: Dialect; because: string } | { notEvaluable: string };

type Family = Dialect | 'mysql' | 'other';

/** A package by which a project talks to a database. */
interface Driver {
  name: string;
  family: Family;
}

const drivers = (family: Family, ...names: readonly string[]): Driver[] => names.map((name) => ({ name, family }));

const NPM: readonly Driver[] = [
  ...drivers('postgresql', 'pg', 'pg-promise', 'postgres', 'slonik', '@neondatabase/serverless', '@vercel/postgres'),
  ...drivers('sqlite', 'better-sqlite3', 'sqlite', 'sqlite3', 'sql.js', 'libsql', '@libsql/client'),
  ...drivers('mysql', 'mysql', 'mysql2', 'mariadb'),
  ...drivers('other', 'mssql', 'tedious', 'oracledb'),
];
const PYPI: readonly Driver[] = [
  ...drivers('postgresql', 'psycopg', 'psycopg2', 'psycopg2-binary', 'asyncpg', 'pg8000'),
  ...drivers('sqlite', 'aiosqlite', 'apsw'),
  ...drivers('mysql', 'pymysql', 'mysqlclient', 'mysql-connector-python', 'aiomysql'),
  ...drivers('other', 'pyodbc', 'pymssql', 'cx-oracle', 'oracledb'),
];

/** Words that one database knows and the other refuses. */
const WORDS: Readonly<Record<Dialect, RegExp>> = {
  postgresql:
    /\b(?:(?:big|small)?serial|timestamptz|jsonb|bytea|tsvector|inet|citext)\b|::\s*[a-z]|\bcreate\s+(?:extension|type|domain|sequence|schema|(?:or\s+replace\s+)?function|materialized\s+view)\b|\bgenerated\s+(?:always|by\s+default)\s+as\s+identity\b|\busing\s+(?:btree|gin|gist|brin|hash)\b|\blanguage\s+(?:plpgsql|sql)\b|\bgen_random_uuid\s*\(/i,
  sqlite: /\bautoincrement\b|\bpragma\s+\w|\bwithout\s+rowid\b|\)\s*strict\b|\bstrftime\s*\(|\bunixepoch\s*\(/i,
};

const DECLARED = /^--\s*(?:dialect|database)\s*:\s*([\w-]+)\s*$/im;
const NAMES: Readonly<Record<string, Dialect>> = {
  sqlite: 'sqlite',
  sqlite3: 'sqlite',
  postgres: 'postgresql',
  postgresql: 'postgresql',
};

/** SQL without comments and quoted texts, in which any word may stand. */
const bare = (sql: string): string =>
  sql.replaceAll(/--[^\n]*|\/\*[\s\S]*?\*\/|\$(\w*)\$[\s\S]*?\$\1\$|'(?:[^']|'')*'/g, ' ');

const Group = z.record(z.string(), z.unknown()).default({});
const Manifest = z.looseObject({
  dependencies: Group,
  devDependencies: Group,
  optionalDependencies: Group,
  peerDependencies: Group,
});

/** The drivers that the manifests ask for. Throws `InvalidInputError` for a package.json that cannot be read. */
export function driversIn(manifests: readonly ProjectText[]): Driver[] {
  return manifests.flatMap(({ path, text }) => {
    if (path !== 'package.json') {
      const words = new Set(
        text
          .toLowerCase()
          .replaceAll('_', '-')
          .match(/[a-z\d][a-z\d.-]*/g),
      );
      return PYPI.filter(({ name }) => words.has(name));
    }
    const { value } = parseYaml(Manifest, { file: path, text });
    const { dependencies, devDependencies, optionalDependencies, peerDependencies } = value;
    const asked = { ...dependencies, ...devDependencies, ...optionalDependencies, ...peerDependencies };
    return NPM.filter(({ name }) => Object.hasOwn(asked, name));
  });
}

/**
 * Which database a project's SQL is for: what the schema's `-- dialect:` line says, else the drivers that the
 * manifests ask for, else words that only one of the databases knows. Where these contradict each other, nothing is
 * guessed. Where nothing speaks for another one it is SQLite, which is what the project layout asks for.
 */
export function dialectOf(input: {
  schema: ProjectText;
  migrations: readonly ProjectText[];
  drivers: readonly Driver[];
}): DialectReading {
  const { schema, migrations, drivers: asked } = input;
  const declared = DECLARED.exec(schema.text)?.[1];
  if (declared !== undefined) {
    const dialect = NAMES[declared.toLowerCase()];
    return dialect === undefined
      ? { notEvaluable: `${schema.path} declares the dialect ${declared}; only sqlite and postgresql can be rehearsed` }
      : { dialect, because: `${schema.path} declares it` };
  }
  const families = [...new Set(asked.map(({ family }) => family))];
  const names = asked.map(({ name }) => name).join(', ');
  const ask = `say which with a line \`-- dialect: postgresql\` or \`-- dialect: sqlite\` in ${schema.path}`;
  if (families.length > 1) return { notEvaluable: `${names} are drivers of different databases: ${ask}` };
  const [family] = families;
  if (family === 'mysql' || family === 'other')
    return {
      notEvaluable: `${names} is for ${family === 'mysql' ? 'MySQL' : 'another database'}, on which no migration is rehearsed yet`,
    };
  if (family !== undefined) return { dialect: family, because: `the project asks for ${names}` };
  const sql = [schema, ...migrations].map(({ path, text }) => ({ path, text: bare(text) }));
  const seen = (dialect: Dialect): { path: string; word: string } | undefined =>
    sql
      .map(({ path, text }) => ({ path, word: WORDS[dialect].exec(text)?.[0].trim() ?? '' }))
      .find(({ word }) => word !== '');
  const [postgres, sqlite] = [seen('postgresql'), seen('sqlite')];
  if (postgres && sqlite)
    return {
      notEvaluable: `${postgres.path} uses \`${postgres.word}\`, which is PostgreSQL's, and ${sqlite.path} uses \`${sqlite.word}\`, which is SQLite's: ${ask}`,
    };
  if (postgres) return { dialect: 'postgresql', because: `${postgres.path} uses \`${postgres.word}\`` };
  if (sqlite) return { dialect: 'sqlite', because: `${sqlite.path} uses \`${sqlite.word}\`` };
  return { dialect: 'sqlite', because: 'no setting, no driver and no SQL names another database' };
}
