import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { openWorkspace } from '../../src/shared/workspace.ts';
import { openSavedWork } from '../../src/workers/agent/checkpoint-store.ts';
import { childModule } from '../support/child-module.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { playing, runWith } from './agent-support.ts';

const redis = testRedis();

/** Works on the job as a worker does, from what was saved or from the beginning. */
const WORKER = `
import { silentLogger } from '../../src/shared/logger.ts';
import { Handoff } from '../../src/shared/handoff.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { connectRedis } from '../../src/shared/redis.ts';
import { openWorkspace } from '../../src/shared/workspace.ts';
import { openSavedWork } from '../../src/workers/agent/checkpoint-store.ts';
import { runAgent } from '../../src/workers/agent/run-agent.ts';
import { createToolBox } from '../../src/workers/agent/tools.ts';
import { openProvider } from '../../src/workers/models/provider.ts';
export async function work(o) {
  const blobs = openBlobStore(o.blobs);
  const redis = await connectRedis(o.redis, 'worker');
  const { workspace } = await openWorkspace({ dir: o.dir, blobs, sources: [] });
  const snapshot = async () => {
    await workspace.commitAll({ message: 'checkpoint', trailers: {}, author: { name: 'a', email: 'a@b.invalid' }, date: new Date().toISOString() });
    return { ...(await workspace.bundle()), tree: await workspace.tree() };
  };
  const begin = await workspace.head();
  const files = { snapshot, adopt: async (tree) => { await workspace.adopt(tree); return workspace.tree(); }, reset: () => workspace.returnTo(begin) };
  const saved = await openSavedWork({ redis, prefix: o.prefix, runId: 'run', jobId: 'job-1', blobs, fence: { lockKey: o.prefix + ':lock', token: 'held', generation: 0 }, files, onStartOver: async () => {} });
  const signal = new AbortController().signal;
  const none = { anthropic: { apiKey: undefined, authToken: undefined, baseUrl: undefined }, scriptedUrl: o.url };
  await runAgent({
    provider: openProvider({ name: 'scripted', config: none }),
    ...o.talk,
    finalTool: { name: 'hand_off', description: 'Hands the work over.', schema: Handoff },
    tools: createToolBox({ root: workspace.dir, sandbox: undefined, runGates: undefined, signal, logger: silentLogger(), tools: o.tools }),
    price: null,
    signal,
    checkpoint: saved,
    onTurn: ({ turn }) => { if (turn === 2) process.stdout.write('two turns\\n'); },
  });
}
`;

test('a worker that is killed costs one call at most, and another one ends its work from the same state', async () => {
  const write = (path: string) => ({ tools: [{ tool: 'write_file', input: { path, content: path } }] });
  const handOff = { tools: [{ tool: 'hand_off', input: { summary: 'all three' } }] };
  const server = await playing([write('a.txt'), write('b.txt'), { ...write('c.txt'), delay_ms: 1_000 }, handOff]);
  const [folder, blobFolder] = [await tempFolder(), await tempFolder()];
  const talk = {
    model: 'claude-sonnet-5-5',
    system: 'You build things.',
    userMessage:
      '<job run="r1" workflow="demo" phase="backend" persona="backend_developer" kind="work" round="0"/>\n\nBuild.',
    maxTurns: 12,
    maxTokensPerTurn: 4_000,
    jobId: 'job-1',
    attempt: 1,
    idleTimeoutMs: 5_000,
  };
  const options = {
    url: server.url,
    redis: redis.url,
    prefix: redis.prefix,
    blobs: blobFolder,
    dir: join(folder, 'first'),
    talk,
    tools: ['write_file', 'read_file', 'edit_file', 'list_files'],
  };
  await (await redis.connect()).set(`${redis.prefix}:lock`, 'held');
  const { child, line } = await childModule(`${WORKER}\nvoid work(${JSON.stringify(options)});`);
  expect(line).toBe('two turns');
  await expect.poll(() => server.requests).toBe(3);
  child.kill('SIGKILL');
  await once(child, 'exit');

  const blobs = openBlobStore(blobFolder);
  const connection = await redis.connect();
  const { workspace } = await openWorkspace({ dir: join(folder, 'second'), blobs, sources: [] });
  const files = {
    snapshot: async () => ({ ...(await workspace.bundle()), tree: await workspace.tree() }),
    adopt: async (tree: Parameters<typeof workspace.adopt>[0]) => {
      await workspace.adopt(tree);
      return workspace.tree();
    },
    reset: () => Promise.resolve(),
  };
  const saved = await openSavedWork({
    redis: connection,
    prefix: redis.prefix,
    runId: 'run',
    jobId: 'job-1',
    blobs,
    fence: { lockKey: `${redis.prefix}:lock`, token: 'held', generation: 0 },
    files,
    onStartOver: () => Promise.resolve(),
  });
  const result = await runWith(server.url, { ...talk, attempt: 2, root: workspace.dir, checkpoint: saved });
  expect(result).toMatchObject({ resumed: 'resumed', turns: 4, final: { summary: 'all three' } });
  expect(result.calls.map((call) => call.attempt)).toEqual([1, 1, 2, 2]);
  for (const name of ['a.txt', 'b.txt', 'c.txt']) expect(await readFile(join(workspace.dir, name), 'utf8')).toBe(name);
  // Four turns, and the one call that was under way when the first worker died.
  expect(server.requests).toBe(5);
  await saved.clear();
  expect(await connection.keys(`${redis.prefix}*conversations`)).toEqual([]);
});
