import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formatsPlugin from 'ajv-formats';
import { afterAll, expect, it } from 'vitest';
import { putJson } from '../../src/shared/blob-store.ts';
import { seal } from '../../src/shared/evidence/dsse.ts';
import { writeSeal } from '../../src/shared/evidence/seal-store.ts';
import { statementOf } from '../../src/shared/evidence/statement.ts';
import { newRunId } from '../../src/shared/names.ts';
import { movePhase, moveRun } from '../../src/shared/transitions.ts';
import { type ApiOperation, ApiDocument, apiFixture, operationsOf } from './api-support.ts';
import { DIAMOND } from './fixture.ts';
import { seedRunWithFiles } from './run-with-files.ts';
import { finishRun, planOf } from './seed-run.ts';

const { url, store, blobs, redis, prefix } = await apiFixture();
const folder = await mkdtemp(join(tmpdir(), 'maestro-contract-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

const document = ApiDocument.parse(await (await fetch(`${url}/openapi.json`)).json());
const ajv = new Ajv2020({ strict: false, allErrors: true });
formatsPlugin.default(ajv);
ajv.addSchema({ $id: 'https://api.test/document', ...document });

/** What an answer holds that the document does not say of it. */
function faultsOf(operation: ApiOperation, status: number, type: string, body: string): string[] {
  const described = operation.responses[String(status)] ?? operation.responses['default'];
  const content = described?.content ?? {};
  if (Object.keys(content).length === 0) return body === '' ? [] : [`${status} is to have no body`];
  const found = content[type];
  if (found === undefined) return [`${status} has the type ${type}, and not ${Object.keys(content).join(' or ')}`];
  if (!type.endsWith('json')) return [];
  const at = `#/paths/${operation.path.replaceAll('~', '~0').replaceAll('/', '~1')}/${operation.method.toLowerCase()}`;
  const of = operation.responses[String(status)] === undefined ? 'default' : String(status);
  const pointer = `${at}/responses/${of}/content/${type.replace('/', '~1')}/schema`;
  const validate = ajv.compile({ $ref: encodeURI(`https://api.test/document${pointer}`) });
  return validate(JSON.parse(body)) ? [] : (validate.errors ?? []).map((err) => `${err.instancePath} ${err.message}`);
}

const withFiles = await seedRunWithFiles({ store, blobs, folder });
const waiting = async (): Promise<string> => {
  const { runId } = await seeded();
  await movePhase(store, runId, 'design', 'running');
  await movePhase(store, runId, 'design', 'awaiting_approval');
  return runId;
};
async function seeded() {
  const plan = planOf(['design']);
  await store.createRun(plan);
  return plan;
}
const ended = await seeded();
await finishRun(store, ended.runId, ['design']);
const blob = (await store.getPhases(withFiles.runId))[0];

/** A run that was signed when it ended. */
async function sealed(): Promise<string> {
  const plan = { ...planOf(['design']), definitions: await putJson(blobs, {}) };
  await store.createRun(plan);
  await finishRun(store, plan.runId, ['design']);
  const run = await store.getRun(plan.runId);
  const calls = await putJson(blobs, []);
  const statement = statementOf({ sealedAt: plan.createdAt, run, plan, phases: [], calls });
  const { privateKey } = generateKeyPairSync('ed25519');
  await writeSeal({ redis, prefix, blobs }, plan.runId, seal(Buffer.from(JSON.stringify(statement)), privateKey));
  return plan.runId;
}

interface Example {
  params?: Record<string, string>;
  query?: string;
  body?: string;
}
const json = (value: unknown): string => JSON.stringify(value);
let webhook = 'none';

/** How each operation is asked so that it does what it is for; without one it is asked for the run with files. */
const EXAMPLES: Record<string, () => Example | Promise<Example>> = {
  executeWorkflow: () => ({ params: { name: 'diamond' }, body: json({ inputs: { requirement: 'shorten my urls' } }) }),
  uploadWorkflow: () => ({ body: DIAMOND.replace('name: diamond', 'name: sent') }),
  upload: () => ({ body: 'the content of a file' }),
  approvePhase: async () => ({
    params: { id: await waiting(), phase: 'design' },
    body: json({ role: 'tech_lead', by: 'Ada' }),
  }),
  cancelRun: async () => ({ params: { id: (await seeded()).runId }, body: '{}' }),
  pauseRun: async () => {
    const { runId } = await seeded();
    await moveRun(store, runId, 'running');
    return { params: { id: runId }, body: '{}' };
  },
  resumeRun: async () => ({ params: { id: (await seeded()).runId }, body: '{}' }),
  retryRun: () => ({ params: { id: ended.runId }, body: json({ from: 'design' }) }),
  getEvidence: async () => ({ params: { id: (await seeded()).runId } }),
  streamEvents: () => ({ params: { id: ended.runId } }),
  streamCommands: () => ({ params: { id: ended.runId } }),
  downloadEvidence: async () => ({ params: { id: await sealed() } }),
  getBlob: () => ({ params: { id: withFiles.runId, ref: blob?.bundle ?? '' } }),
  readFile: () => ({ params: { id: withFiles.runId, path: 'src/app.js' } }),
  getDiff: () => ({ params: { id: withFiles.runId, commit: blob?.commit ?? '' } }),
  advertiseRefs: () => ({ query: 'service=git-upload-pack' }),
  addWebhook: () => ({ body: json({ url: 'https://93.184.215.14/hook', events: ['approval.recorded'] }) }),
  getWebhook: () => ({ params: { id: webhook } }),
  listDeliveries: () => ({ params: { id: webhook } }),
  enableWebhook: () => ({ params: { id: webhook }, body: '{}' }),
  removeWebhook: () => ({ params: { id: webhook } }),
};
/** What needs another program, or something that only a run under way has; their refusals are looked at all the same. */
const NOT_ANSWERED = ['uploadPack', 'answerQuestion', 'redeliver'];

async function ask(operation: ApiOperation, { params = {}, query = '', body }: Example) {
  const all: Record<string, string> = { id: withFiles.runId, phase: 'design', ...params };
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    (all[name] ?? 'none').split('/').map(encodeURIComponent).join('/'),
  );
  const gone = new AbortController();
  const response = await fetch(`${url}${path}${query === '' ? '' : `?${query}`}`, {
    method: operation.method,
    signal: gone.signal,
    ...(body === undefined ? {} : { body }),
  });
  const type = response.headers.get('content-type')?.split(';')[0] ?? '';
  const isEndless = operation.operationId === 'streamFleetEvents' && response.ok;
  const text = isEndless ? '' : await response.text();
  gone.abort();
  return { status: response.status, type, text };
}

const operations = await operationsOf(url);
const order = (one: ApiOperation): number => (one.operationId === 'addWebhook' ? -1 : one.method === 'DELETE' ? 1 : 0);

it('answers every operation as the document says', async () => {
  const unanswered: string[] = [];
  for (const operation of operations.toSorted((a, b) => order(a) - order(b))) {
    const { operationId } = operation;
    const example = (await EXAMPLES[operationId]?.()) ?? {};
    const { status, type, text } = await ask(operation, example);
    expect([operationId, faultsOf(operation, status, type, text)]).toEqual([operationId, []]);
    if (status >= 300) unanswered.push(`${operationId}: ${text}`);
    if (operationId === 'addWebhook') webhook = /"id":"([^"]+)"/.exec(text)?.[1] ?? 'none';
  }
  expect(unanswered.filter((line) => !NOT_ANSWERED.some((id) => line.startsWith(`${id}:`)))).toEqual([]);
});

it('refuses in every operation as the document says', async () => {
  for (const operation of operations.filter(({ path }) => path.includes('{'))) {
    for (const id of [newRunId(), '%00']) {
      const { status, type, text } = await ask(operation, { params: { id, name: 'nothing' } });
      expect([operation.operationId, status >= 400 && status < 500]).toEqual([operation.operationId, true]);
      expect([operation.operationId, faultsOf(operation, status, type, text)]).toEqual([operation.operationId, []]);
    }
  }
});
