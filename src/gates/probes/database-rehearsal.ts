/** What is done with a schema and migrations, whatever the database. */

export interface SqlFile {
  path: string;
  text: string;
}

export interface SqlFault {
  message: string;
  /** The line of the file, where the database tells it. */
  line: number | null;
}

/** One database that began empty. */
export interface Database {
  /** Applies a whole file. Undefined when it was taken. */
  apply(text: string): Promise<SqlFault | undefined>;
  /** Every object, with a description that does not depend on how its SQL was laid out. */
  describe(): Promise<ReadonlyMap<string, string>>;
  tables(): Promise<{ name: string; primaryKey: boolean }[]>;
}

export interface Engine {
  name: string;
  version: string;
  create(): Promise<Database>;
}

export interface Step {
  up: SqlFile;
  down: SqlFile | null;
}

export interface Rehearsal {
  engine: string;
  version: string;
  schema: { fault: SqlFault | null; tables: { name: string; primaryKey: boolean }[] };
  migrations: {
    failures: { file: string; error: string; line: number | null }[];
    leftOver: string[];
    differences: string[];
    ran: number;
  };
}

/** Applies the schema to one database, and the migrations forward, back and forward to another; then compares both. */
export async function rehearse(engine: Engine, schema: SqlFile, steps: readonly Step[]): Promise<Rehearsal> {
  const wanted = await engine.create();
  const fault = (await wanted.apply(schema.text)) ?? null;
  const tables = fault === null ? await wanted.tables() : [];
  const migrations: Rehearsal['migrations'] = { failures: [], leftOver: [], differences: [], ran: 0 };
  const report = { engine: engine.name, version: engine.version, schema: { fault, tables }, migrations };
  if (steps.length === 0) return report;
  const database = await engine.create();
  const all = async (files: readonly SqlFile[], round: string): Promise<boolean> => {
    for (const file of files) {
      const failed = await database.apply(file.text);
      if (failed !== undefined) {
        const error = `${round}: ${engine.name} refuses it: ${failed.message}`;
        migrations.failures.push({ file: file.path, error, line: failed.line });
        return false;
      }
      migrations.ran += 1;
    }
    return true;
  };
  const ups = steps.map(({ up }) => up);
  const downs = steps.flatMap(({ down }) => down ?? []).toReversed();
  let isUp = await all(ups, 'the first time forward');
  if (isUp && downs.length === steps.length) {
    isUp = await all(downs, 'on the way back');
    if (isUp) migrations.leftOver = [...(await database.describe()).keys()];
    isUp = isUp && migrations.leftOver.length === 0 && (await all(ups, 'the second time forward'));
  }
  if (isUp && fault === null) {
    const [one, other] = [await wanted.describe(), await database.describe()];
    const names = [...new Set([...one.keys(), ...other.keys()])];
    migrations.differences = names.filter((name) => one.get(name) !== other.get(name));
  }
  return report;
}
