import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { afterAll, describe, expect, test } from 'vitest';
import { RunEvidence } from '../../src/producer/api-schemas.ts';
import { RunChanges, RunFiles } from '../../src/producer/files-schemas.ts';
import { RunRepositories } from '../../src/producer/run-repositories.ts';
import { startServer } from '../../src/producer/server.ts';
import { putJson } from '../../src/shared/blob-store.ts';
import { FleetError } from '../../src/shared/errors.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { RunStore } from '../../src/shared/run-store.ts';

import { testRedis } from '../support/test-redis.ts';
import { fixtureRoot } from './fixture.ts';
import { HOSTILE, PIXELS, seedRunWithFiles } from './run-with-files.ts';
import { NO_BLOB, planOf, verdictOf } from './seed-run.ts';

const run = promisify(execFile);
const ownRedis = testRedis();
const store = new RunStore(await ownRedis.connect(), ownRedis.prefix);
const folder = await mkdtemp(join(tmpdir(), 'maestro-files-'));
const blobs = openBlobStore(join(folder, 'blobs'));
const logged: string[] = [];
const TOKEN = 'a-token-of-the-tests';
const server = await startServer({
  host: '127.0.0.1',
  port: 0,
  redisUrl: ownRedis.url,
  prefix: ownRedis.prefix,
  blobs,
  packageRoot: await fixtureRoot(),
  provider: 'scripted',
  token: TOKEN,
  logger: pino({ level: 'warn' }, { write: (line) => void logged.push(line) }),
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

const plan = await seedRunWithFiles({ store, blobs, folder });
const at = `/api/runs/${plan.runId}`;
const ask = (path: string): Promise<Response> =>
  fetch(`${server.url}${path}`, { headers: { authorization: `Bearer ${TOKEN}` } });

describe('the files of a run', () => {
  test('are listed with their sizes and the persona who changed them last', async () => {
    const listed = RunFiles.parse(await (await ask(`${at}/files`)).json());
    expect(listed).toMatchObject({ phase: null, phases: ['backend'], leftOut: [], simulated: true, truncated: false });
    expect(listed.files).toEqual([
      { path: 'design.md', size: 9, kind: 'file', persona: 'coder' },
      { path: 'logo.png', size: PIXELS.length, kind: 'file', persona: 'coder' },
      { path: 'out', size: 11, kind: 'link', persona: 'coder' },
      { path: `src/${HOSTILE}`, size: 1, kind: 'file', persona: 'coder' },
      { path: 'src/app.js', size: 16, kind: 'file', persona: 'coder' },
    ]);
  });

  test('of a blocked phase can be looked at when they are asked for', async () => {
    const listed = RunFiles.parse(await (await ask(`${at}/files?phase=docs`)).json());
    expect(listed.files.map(({ path }) => path)).toEqual(['design.md', 'guide.md', 'out']);
    expect((await ask(`${at}/files?phase=nosuch`)).status).toBe(404);
  });

  test('are read as text that no browser runs, byte for byte', async () => {
    const text = await ask(`${at}/files/src/app.js`);
    expect([text.status, await text.text()]).toEqual([200, 'two();\nthree();\n']);
    expect(text.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(text.headers.get('content-security-policy')).toContain('sandbox');
    expect(text.headers.get('x-content-type-options')).toBe('nosniff');
    const binary = await ask(`${at}/files/logo.png`);
    expect(Buffer.from(await binary.arrayBuffer())).toEqual(PIXELS);
    expect(binary.headers.get('content-disposition')).toMatch(/^attachment/);
    const hostile = await ask(`${at}/files/src/${encodeURIComponent(HOSTILE)}`);
    expect(await hostile.text()).toBe('x');
  });

  test('never lead out of the repository', async () => {
    // A link is read as what it says, and is not followed.
    expect(await (await ask(`${at}/files/out`)).text()).toBe('/etc/passwd');
    const outside = [
      '..%2f..%2fetc%2fpasswd',
      'out%2f..%2fdesign.md',
      '%2fetc%2fpasswd',
      'src',
      'design.md%00',
      ':%2f',
      '*',
    ];
    for (const path of outside) expect([path, (await ask(`${at}/files/${path}`)).status]).toEqual([path, 404]);
  });
});

describe('what was changed in a run', () => {
  test('is listed commit by commit, with the rounds that were blocked', async () => {
    const { changes } = RunChanges.parse(await (await ask(`${at}/changes`)).json());
    expect(changes.map(({ phase, round, files }) => [phase, round, files.length])).toEqual([
      ['docs', 0, 1],
      ['backend', 1, 3],
      ['backend', 0, 1],
      ['design', 0, 2],
    ]);
    // What a recording answered says so; what a script answered alone does not.
    expect(changes.map(({ replayed }) => replayed)).toEqual([true, undefined, undefined, undefined]);
    expect(changes[1]).toMatchObject({
      persona: 'coder',
      simulated: true,
      subject: 'backend: round 1',
      author: 'Coder',
    });
    expect(changes[1]?.files).toContainEqual({ path: 'src/app.js', lines: { added: 2, deleted: 1 } });
    expect(changes[1]?.files).toContainEqual({ path: 'logo.png', lines: null });
  });

  test('is shown as a diff, of all files or of one', async () => {
    const { changes } = RunChanges.parse(await (await ask(`${at}/changes`)).json());
    const [, second, first] = changes.map(({ commit }) => commit);
    const diff = await (await ask(`${at}/changes/${second}/diff?path=src/app.js`)).text();
    expect(diff).toMatch(/-one\(\);\n\+two\(\);\n\+three\(\);\n$/);
    expect(diff).not.toContain('logo.png');
    expect(await (await ask(`${at}/changes/${second}/diff`)).text()).toContain('Binary files');
    expect(await (await ask(`${at}/files/src/app.js?commit=${first}`)).text()).toBe('one();\n');
    expect((await ask(`${at}/changes/${'0'.repeat(40)}/diff`)).status).toBe(404);
    expect((await ask(`${at}/changes/main/diff`)).status).toBe(400);
    expect((await ask(`${at}/changes/${second}/diff?path=a%00b`)).status).toBe(400);
  });
});

describe('a run to take home', () => {
  test('is a zip, with the files below one folder', async () => {
    const answer = await ask(`${at}/files.zip`);
    expect(answer.headers.get('content-disposition')).toContain(`diamond-${plan.runId}-simulated.zip`);
    const zip = join(folder, 'run.zip');
    await writeFile(zip, Buffer.from(await answer.arrayBuffer()));
    const { stdout } = await run('python3', ['-m', 'zipfile', '-l', zip]);
    expect(stdout).toContain(`diamond-${plan.runId}-simulated/src/app.js`);
    const ofPhase = await ask(`${at}/files.bundle?phase=design`);
    expect(ofPhase.headers.get('content-disposition')).toContain(`diamond-${plan.runId}-design-simulated.bundle`);
  });

  test('is a git bundle', async () => {
    const bundle = join(folder, 'run.bundle');
    await writeFile(bundle, Buffer.from(await (await ask(`${at}/files.bundle`)).arrayBuffer()));
    const clone = join(folder, 'from-bundle');
    await run('git', ['clone', '--quiet', '--branch', 'main', bundle, clone]);
    expect(await readFile(join(clone, 'design.md'), 'utf8')).toBe('# Design\n');
  });

  test('can be cloned with the token as password, fetched again, and not be pushed to', async () => {
    const clone = join(folder, 'clone');
    const env = { PATH: process.env['PATH'], HOME: folder, GIT_TERMINAL_PROMPT: '0', GIT_CONFIG_GLOBAL: '/dev/null' };
    const url = `${server.url.replace('://', `://git:${TOKEN}@`)}${at}/repo.git`;
    await run('git', ['clone', '--quiet', url, clone], { env });
    expect((await readdir(join(clone, 'src'))).length).toBe(2);
    const branches = (await run('git', ['-C', clone, 'branch', '-r'], { env })).stdout;
    expect(
      branches
        .split('\n')
        .map((line) => line.trim().split(' ')[0])
        .filter(Boolean),
    ).toEqual(['origin/HEAD', 'origin/main', 'origin/phase/backend', 'origin/phase/design', 'origin/phase/docs']);
    await run('git', ['-C', clone, 'fetch', '--quiet'], { env });
    const log = (await run('git', ['-C', clone, 'log', '--format=%s', 'origin/phase/docs'], { env })).stdout;
    expect(log).toContain('docs: round 0');
    await expect(run('git', ['-C', clone, 'push', url, 'HEAD:refs/heads/evil'], { env })).rejects.toThrow(/403/);
    await expect(run('git', ['clone', url.replace(TOKEN, 'wrong'), join(folder, 'no')], { env })).rejects.toThrow(
      /401|Authentication/,
    );
  });
});

test('a run that is not there, or has made nothing, is said to be so', async () => {
  const empty = planOf(['design']);
  await store.createRun(empty);
  expect(await (await ask(`/api/runs/${empty.runId}/files`)).json()).toMatchObject({ commit: null, files: [] });
  expect((await ask(`/api/runs/${empty.runId}/files.zip`)).status).toBe(404);
  expect((await ask(`/api/runs/${empty.runId}/files/a.md`)).status).toBe(404);
  for (const path of ['files', 'changes', 'files.zip', 'files.bundle', 'repo.git/info/refs?service=git-upload-pack'])
    expect([path, (await ask(`/api/runs/${planOf(['x']).runId}/${path}`)).status]).toEqual([path, 404]);
});

test('downloads that nobody reads are ended, and do not pile up', async () => {
  const place = { gitDir: join(folder, 'none', 'git'), workTree: folder };
  const repositories = new RunRepositories({ store, blobs, scratch: folder });
  const slow = Array.from({ length: 33 }, () => new PassThrough());
  const waits = slow.map((to) =>
    repositories.stream(place, ['hash-object', '--stdin'], to, { stdin: new PassThrough(), idleMs: 500 }).then(
      () => 'ended',
      (err: unknown) => (err instanceof FleetError ? err.code : String(err)),
    ),
  );
  const ended = await Promise.all(waits);
  expect(ended.filter((code) => code === 'RATE_LIMITED')).toHaveLength(1);
  expect(ended.filter((code) => code === 'GIT_FAILED')).toHaveLength(32);
  // Afterwards there is room again.
  const again = new PassThrough();
  await repositories.stream(place, ['version'], again);
  expect(String(again.read())).toContain('git version');
});

const NOTHING_MEASURED = {
  schemaVersion: 1,
  phase: 'design',
  commit: 'c'.repeat(40),
  tree: 'd'.repeat(40),
  sandbox: 'bwrap',
  measurements: [],
  findings: [],
  artifacts: [],
  reports: [],
  reviews: [],
  approvals: [],
};

describe('the evidence of a run of many rounds', () => {
  const rounds = 30;
  const seeded = async (lost?: number): Promise<string> => {
    const many = planOf(['design']);
    await store.createRun(many);
    for (let round = 0; round < rounds; round += 1) {
      const evidence = await putJson(blobs, { ...NOTHING_MEASURED, runId: many.runId, round });
      const judged = { round, verdict: verdictOf('design', 'blocked'), findings: 0, at: new Date().toISOString() };
      await store.updatePhase(many.runId, 'design', (record) => ({
        next: {
          ...record,
          rounds: [...record.rounds, { ...judged, evidence: round === lost ? NO_BLOB : evidence }],
        },
        events: [],
      }));
    }
    return `/api/runs/${many.runId}/evidence`;
  };

  test('is sent whole and in order', async () => {
    const sent = RunEvidence.parse(await (await ask(await seeded())).json());
    expect(sent.simulated).toBe(true);
    expect(sent.rounds.map(({ round }) => round)).toEqual(Array.from({ length: rounds }, (_, index) => index));
  });

  test('is refused, or broken off, when a part of it is lost', async () => {
    expect((await ask(await seeded(0))).status).toBe(503);
    const path = await seeded(rounds - 1);
    await expect(ask(path).then((answer) => answer.text())).rejects.toThrow(/terminated/);
    expect(logged.join()).toContain('answer broken off');
  });
});
