import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { z } from 'zod';
import type { Scope } from '../../src/producer/principal.ts';
import { type RunningServer, type ServerOptions, startServer } from '../../src/producer/server.ts';
import { TokenStore } from '../../src/producer/tokens.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { RunArchive } from '../../src/shared/archive.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { testRedis } from '../support/test-redis.ts';
import { DIAMOND, fixtureRoot } from './fixture.ts';

const Operation = z.looseObject({
  operationId: z.string(),
  'x-scope': z.enum(['open', 'read', 'run', 'approve', 'admin']),
  parameters: z.array(
    z.looseObject({ name: z.string(), in: z.enum(['path', 'query', 'header']), schema: z.unknown() }),
  ),
  requestBody: z.looseObject({ content: z.record(z.string(), z.unknown()) }).optional(),
  responses: z.record(
    z.string(),
    z.looseObject({ content: z.record(z.string(), z.looseObject({ schema: z.unknown() })).optional() }),
  ),
});
export const ApiDocument = z.looseObject({
  paths: z.record(z.string(), z.record(z.enum(['get', 'post', 'put', 'delete']), Operation.optional())),
  components: z.looseObject({ schemas: z.record(z.string(), z.unknown()) }),
});

export interface ApiOperation extends z.infer<typeof Operation> {
  method: string;
  path: string;
}

/** A server of its own, on its own keys, with everything the tests of the API need. */
export async function apiFixture(options: Partial<ServerOptions> = {}) {
  const ownRedis = testRedis();
  const { url: redisUrl, prefix } = ownRedis;
  const redis = await ownRedis.connect();
  const blobFolder = await mkdtemp(join(tmpdir(), 'maestro-blobs-'));
  const blobs = openBlobStore(blobFolder);
  const running: RunningServer[] = [];
  const packageRoot = await fixtureRoot({ diamond: DIAMOND });
  const serve = async (more: Partial<ServerOptions> = {}): Promise<RunningServer> => {
    const server = await startServer({
      host: '127.0.0.1',
      port: 0,
      redisUrl,
      prefix,
      blobs,
      packageRoot,
      provider: 'scripted',
      logger: silentLogger(),
      ...options,
      ...more,
    });
    running.push(server);
    return server;
  };
  afterAll(async () => {
    for (const server of running) await server.close();
    await rm(blobFolder, { recursive: true, force: true });
  });
  const { url } = await serve();
  const tokens = new TokenStore(redis, prefix);
  const store = new RunStore(redis, prefix, new RunArchive(redis, prefix, blobs));
  const tokenFor = async (name: string, scopes: Scope[], more: { ratePerMinute?: number } = {}): Promise<string> =>
    (await tokens.create({ name, scopes, expiresAt: null, createdBy: 'tests', ...more })).token;
  return { url, serve, redis, prefix, redisUrl, blobs, store, tokens, tokenFor };
}

/** Every operation that a server says it has. */
export async function operationsOf(url: string, headers: Record<string, string> = {}): Promise<ApiOperation[]> {
  const document = ApiDocument.parse(await (await fetch(`${url}/openapi.json`, { headers })).json());
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, operation]) =>
      operation === undefined ? [] : [{ ...operation, method: method.toUpperCase(), path }],
    ),
  );
}

export const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
