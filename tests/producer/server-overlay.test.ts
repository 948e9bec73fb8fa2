import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { loadPolicySet } from '../../src/gates/load-policy.ts';
import { loadRunSources, shippedFolders } from '../../src/producer/definitions-builder.ts';
import { startServer } from '../../src/producer/server.ts';
import { getJson } from '../../src/shared/blob-store.ts';
import { Definitions } from '../../src/shared/definitions.ts';
import { readGivenFiles } from '../../src/shared/given-files.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { RunId } from '../../src/shared/names.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { DIAMOND, fixtureRoot } from './fixture.ts';

const at = testRedis();
const store = new RunStore(await at.connect(), at.prefix);
const OVERLAY = `apiVersion: maestro/v1
extends: phase_slos
phases:
  frontend: { exit_gates: [{ gate: small, condition: lines_of_code <= 500 }] }
measure:
  commands:
    - id: size
      argv: [sh, -c, 'wc -l src/* > "$1"', sh, '{out}/size.json']
      produces: { path: size.json, format: json }
      metrics: { lines_of_code: { from: json, pointer: /lines, examined: /files } }
`;

/** A server on its own folder of definitions, with this overlay. */
async function serve(overlay: string) {
  const root = await fixtureRoot({ diamond: DIAMOND });
  const file = join(root, 'maestro.policies.yaml');
  await writeFile(file, overlay);
  const sources = await loadRunSources({ ...shippedFolders(root), overlay: { file, isRequired: true } });
  const blobs = openBlobStore(await tempFolder());
  const server = await startServer({
    host: '127.0.0.1',
    port: 0,
    redisUrl: at.url,
    prefix: at.prefix,
    blobs,
    packageRoot: root,
    sources,
    provider: 'scripted',
    logger: silentLogger(),
  });
  onTestFinished(() => server.close());
  const execute = (body: Record<string, unknown>): Promise<Response> =>
    fetch(`${server.url}/api/workflows/diamond/execute`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ inputs: { requirement: 'shorten my urls please' }, ...body }),
    });
  const definitionsOf = async (answer: Response): Promise<Definitions> => {
    const { runId } = z.object({ runId: RunId }).parse(await answer.json());
    return getJson(blobs, (await store.getPlan(runId)).definitions, Definitions);
  };
  return { root, file, blobs, sources, execute, definitionsOf };
}

describe('a server with an overlay', () => {
  it('lays it over the policies of every run, and goes by what it read when it started', async () => {
    const { root, file, sources, execute, definitionsOf } = await serve(OVERLAY);
    const first = await definitionsOf(await execute({}));
    expect(first.policies.map(({ kind }) => kind)).toEqual([undefined, 'overlay']);
    const judged = loadPolicySet(first.policies);
    expect(judged.digest).toBe(sources.policySet.digest);
    expect(judged.policies.get('frontend')?.gates.map(({ gate }) => gate)).toContain('small');
    expect(judged.declared?.commands.map(({ id }) => id)).toEqual(['size']);
    await writeFile(file, 'nothing of use');
    await rm(join(root, 'policies'), { recursive: true });
    await rm(join(root, 'personas'), { recursive: true });
    expect(await definitionsOf(await execute({}))).toEqual(first);
  });

  it.each([
    [
      'a gate that is none',
      OVERLAY.replace('lines_of_code <=', 'lines_of_cod <='),
      /maestro\.policies\.yaml:4:\d+: .*lines_of_cod/,
    ],
    [
      'a command for no metric',
      OVERLAY.replace('metrics: { lines_of_code', 'metrics: { lines_of_coed'),
      /yaml:10:18: unknown metric "lines_of_coed" \(did you mean "lines_of_code"\?\)/,
    ],
    [
      'an unknown key',
      OVERLAY.replace('produces:', 'produce:'),
      /yaml:9:7: .*unknown key "produce" \(did you mean "produces"\?\)/,
    ],
  ])('is not started on %s, which is named with its place', async (_what, overlay, message) => {
    await expect(serve(overlay)).rejects.toThrow(message);
    await expect(serve(overlay)).rejects.toMatchObject({ exitCode: 2 });
  });
});

describe('a request that hands in records and advisories', () => {
  const records = {
    name: 'records.yaml',
    text: JSON.stringify({
      schema: 'maestro.operations/v1',
      service: 'links',
      source: 'the pager',
      period: { from: '2026-01-01T00:00:00Z', to: '2026-01-08T00:00:00Z' },
      incidents: [],
    }),
  };

  it('has them kept by digest with the definitions of its run', async () => {
    const { blobs, execute, definitionsOf } = await serve(OVERLAY);
    const definitions = await definitionsOf(await execute({ records }));
    expect(Object.keys(definitions.given ?? {})).toEqual(['records']);
    expect(await readGivenFiles(blobs, definitions.given)).toEqual({ records, advisories: undefined });
    expect((await definitionsOf(await execute({}))).given).toBeUndefined();
  });

  it('is refused with the place when they cannot be read', async () => {
    const { execute } = await serve(OVERLAY);
    const wrong = { ...records, text: records.text.replace('"incidents":[]', '"incident":[]') };
    const refused = await execute({ records: wrong });
    expect(refused.status).toBe(400);
    expect(await refused.text()).toMatch(/records\.yaml:1:\d+: unknown key \\"incident\\"/);
    expect((await execute({ advisories: { name: 'a.json', text: '{}' } })).status).toBe(400);
    expect((await execute({ records: '/etc/passwd' })).status).toBe(400);
  });
});
