import { cp, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import initSqlJs from 'sql.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { PACKAGE_ROOT } from '../../src/shared/package-root.ts';
import { Persona } from '../../src/shared/persona-schema.ts';
import { runProcess } from '../../src/shared/process.ts';
import { Workflow } from '../../src/shared/workflow-schema.ts';
import { parseYaml } from '../../src/shared/yaml-file.ts';
import { loadScript } from '../../src/workers/scripted/load-script.ts';

const root = PACKAGE_ROOT;
const demo = join(root, 'demo', 'url-shortener');
const files = join(demo, 'files');

async function loadFolder<S extends z.ZodType>(folder: string, schema: S): Promise<z.infer<S>[]> {
  const names = (await readdir(join(root, folder))).filter((name) => name.endsWith('.yaml'));
  return Promise.all(
    names.map(async (name) => {
      const file = join(folder, name);
      return parseYaml(schema, { file, text: await readFile(join(root, file), 'utf8') }).value;
    }),
  );
}

describe('shipped personas and workflows', () => {
  it('loads every persona, each with a prompt of 150 to 400 words', async () => {
    const personas = await loadFolder('personas', Persona);
    expect(personas).toHaveLength(15);
    for (const { name, prompt } of personas) {
      const words = prompt.split(/\s+/).length;
      expect({ name, isFitting: words >= 150 && words <= 400 }).toEqual({ name, isFitting: true });
    }
  });

  it('gives reviewers no tool that writes or runs anything', async () => {
    const reviewers = (await loadFolder('personas', Persona)).filter(({ kind }) => kind === 'reviewer');
    expect(reviewers.map(({ name }) => name).toSorted()).toEqual(['deliverable_validator', 'phase_reviewer']);
    for (const { tools } of reviewers) expect(tools).toEqual(['list_files', 'read_file', 'search']);
  });

  it('has every need of a phase delivered by an ancestor or given as the requirement', async () => {
    const personas = new Map((await loadFolder('personas', Persona)).map((persona) => [persona.name, persona]));
    const workflows = await loadFolder('workflows', Workflow);
    expect(workflows.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['linear', 'parallel', 'sdlc', 'sub-phased', 'url-shortener']),
    );
    const unmet = workflows.flatMap(({ name: workflow, phases, inputs }) => {
      const team = (phase: string): Persona[] => {
        const { persona, personas: several } = phases[phase] ?? {};
        return [persona, ...(several ?? [])].flatMap((member) => personas.get(member ?? '') ?? []);
      };
      const ancestors = (phase: string): string[] =>
        (phases[phase]?.needs ?? []).flatMap((above) => [above, ...ancestors(above)]);
      return Object.keys(phases).flatMap((phase) => {
        const given = new Set([
          ...Object.keys(inputs),
          ...ancestors(phase).flatMap((above) => team(above).flatMap((member) => Object.keys(member.deliverables))),
        ]);
        const members = team(phase);
        if (members.length === 0) return [`${workflow}: ${phase} has no known persona`];
        return members.flatMap(({ name, needs }) =>
          needs.filter((need) => !given.has(need)).map((need) => `${workflow}: ${phase}/${name} needs ${need}`),
        );
      });
    });
    expect(unmet).toEqual([]);
  });
});

describe('the script of the url shortener', () => {
  it('loads, and every file that a hand-off names is written by then', async () => {
    const script = await loadScript(join(demo, 'script.yaml'));
    const main = script.jobs.filter(({ kind, scenario }) => kind === 'work' && scenario === 'main');
    const written = new Set<unknown>();
    for (const { turns } of main) {
      for (const { tool, input } of turns.flatMap(({ tools }) => tools)) {
        if (tool === 'write_file') written.add(input['path']);
        if (tool !== 'hand_off') continue;
        for (const file of z.array(z.string()).parse(input['files'])) expect(written).toContain(file);
      }
    }
    expect(written.size).toBeGreaterThan(60);
  });

  it('never lets the two branches write the same file', async () => {
    const [backend, frontend] = await Promise.all(['backend/r0', 'frontend'].map((layer) => filesOf(layer)));
    const again = await filesOf('backend/r1');
    expect([...(backend ?? []), ...again].filter((file) => frontend?.includes(file))).toEqual([]);
  });
});

async function filesOf(layer: string): Promise<string[]> {
  const entries = await readdir(join(files, layer), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(join(files, layer).length + 1));
}

describe('the project that the script produces', { timeout: 120_000 }, () => {
  let folder = '';
  let flawed = '';

  const assemble = async (layers: readonly string[]): Promise<string> => {
    const target = await mkdtemp(join(tmpdir(), 'maestro-demo-'));
    for (const layer of layers) await cp(join(files, layer), target, { recursive: true });
    return target;
  };
  const run = (cwd: string, argv: string[]): ReturnType<typeof runProcess> =>
    runProcess({
      argv,
      cwd,
      env: { PATH: process.env['PATH'] ?? '', HOME: tmpdir() },
      timeoutMs: 110_000,
      outputBytes: 1_000_000,
      signal: AbortSignal.timeout(110_000),
    });
  const coverage = async (cwd: string, tests: readonly string[], include: readonly string[]): Promise<number> => {
    const c8 = join(root, 'node_modules', '.bin', 'c8');
    const includes = include.flatMap((glob) => ['--include', glob]);
    const argv = [c8, '--all', '--src', 'src', ...includes, '-r', 'json-summary', 'node', '--test', ...tests];
    const { exitCode, stdout } = await run(cwd, argv);
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout });
    const Summary = z.object({ total: z.object({ lines: z.object({ pct: z.number() }) }) });
    const text = await readFile(join(cwd, 'coverage', 'coverage-summary.json'), 'utf8');
    return Summary.parse(JSON.parse(text)).total.lines.pct;
  };

  beforeAll(async () => {
    const base = ['requirements', 'design', 'backend/r0'];
    folder = await assemble([...base, 'backend/r1', 'frontend', 'testing', 'review']);
    flawed = await assemble(base);
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
    await rm(flawed, { recursive: true });
  });

  it('passes all its tests with nothing installed, and they cover at least 85% of the source', async () => {
    expect(await coverage(folder, [], ['src/**'])).toBeGreaterThanOrEqual(85);
  });

  it('covers each side by the tests of that side', async () => {
    const service = ['src/backend/**', 'src/shared/**'];
    expect(await coverage(folder, ['tests/unit', 'tests/integration'], service)).toBeGreaterThanOrEqual(85);
    expect(await coverage(folder, ['tests/component'], ['src/frontend/**'])).toBeGreaterThanOrEqual(80);
  });

  it('is flawed in its first round: tests pass, but cover far too little of the service', async () => {
    const service = ['src/backend/**', 'src/shared/**'];
    expect(await coverage(flawed, ['tests/unit', 'tests/integration'], service)).toBeLessThan(70);
    expect(await readFile(join(flawed, 'src/backend/stats-handler.js'), 'utf8')).toContain('501');
  });

  it('builds, with a manifest of what was built', async () => {
    const { exitCode, stderr } = await run(folder, ['node', 'scripts/build.js']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr });
    const Manifest = z.object({ files: z.array(z.object({ file: z.string(), sha256: z.string().length(64) })) });
    const manifest = Manifest.parse(JSON.parse(await readFile(join(folder, 'dist/manifest.json'), 'utf8')));
    expect(manifest.files.map(({ file }) => file)).toContain('src/backend/service.js');
  });

  it('does not build when a module imports one that does not exist', async () => {
    const broken = await assemble(['design', 'backend/r0', 'sabotage/build_success']);
    const { exitCode, stderr } = await run(broken, ['node', 'scripts/build.js']);
    await rm(broken, { recursive: true });
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain('csv-fields.js, which does not exist');
  });

  it('passes a strict type check', async () => {
    const sources = (await readdir(join(folder, 'src'), { recursive: true })).filter((name) => name.endsWith('.js'));
    const options = ['--noEmit', '--allowJs', '--checkJs', '--strict', '--noUncheckedIndexedAccess', '--skipLibCheck'];
    const target = ['--target', 'es2023', '--lib', 'es2023,dom,dom.iterable', '--module', 'nodenext'];
    const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules', '@types')];
    const tsc = join(root, 'node_modules', '.bin', 'tsc');
    const paths = sources.map((name) => join('src', name));
    const { exitCode, stdout } = await run(folder, [tsc, ...options, ...target, ...types, ...paths]);
    expect(stdout).toBe('');
    expect(exitCode).toBe(0);
  });

  it('exports SQL that a database made by its migrations takes', async () => {
    const program = `
      import { toSql } from './src/backend/sql-export.js';
      const link = { code: 'it-is', url: "https://example.com/?q=it's", createdAt: '2026-03-01T10:00:00.000Z', clicks: 2 };
      process.stdout.write(toSql([{ ...link, lastAccessedAt: null, daily: new Map([['2026-03-01', 2]]) }]));`;
    const { stdout } = await run(folder, ['node', '--input-type=module', '-e', program]);
    const migrations = (await readdir(join(folder, 'migrations')))
      .filter((name) => name.endsWith('.up.sql'))
      .toSorted();
    const { Database } = await initSqlJs();
    const database = new Database();
    for (const name of migrations) database.run(await readFile(join(folder, 'migrations', name), 'utf8'));
    database.run(stdout);
    const joined = database.exec('SELECT url, daily_clicks.clicks FROM links JOIN daily_clicks USING (code)');
    expect(joined[0]?.values).toEqual([["https://example.com/?q=it's", 2]]);
  });
});
