import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type Anthropic from '@anthropic-ai/sdk';
import { describe, expect, onTestFinished, test } from 'vitest';
import { BlobRef } from '../../src/shared/run-record.ts';
import { Transcript, readTalk } from '../../src/cli/transcript/talk.ts';
import { wholeTalk } from '../../src/shared/whole-talk.ts';
import { AgentCheckpoint, type Loaded } from '../../src/workers/agent/checkpoint.ts';
import { doPersonaJob } from '../../src/workers/persona-job.ts';
import { Script } from '../../src/workers/scripted/script-schema.ts';
import { startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { personaData, personaFence, personaRun } from '../support/persona-runs.ts';
import { answerEvents, rawModel, stream } from '../support/raw-model.ts';
import { testRedis } from '../support/test-redis.ts';
import { HAND_OFF, playing, runWith } from './agent-support.ts';

const LONG = 'x'.repeat(3_000);
const write = (name: string) => ({
  tools: [{ tool: 'write_file', input: { path: name, content: `${name} ${LONG}` } }],
});
const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
const TURNS = [...NAMES.map(write), { tools: [HAND_OFF] }];
const SMALL = { contextTokens: 5_000, maxTokensPerTurn: 500 };
type Message = Anthropic.MessageParam;
const assistants = (messages: readonly Message[]): number => messages.filter(({ role }) => role === 'assistant').length;

/** A store that keeps what it is given, and every checkpoint as text. */
function keeping(start: string | null = null) {
  const kept: Message[][] = [];
  const notes: { type: string; fromTokens?: number; toTokens?: number }[] = [];
  const saved: string[] = [];
  return {
    kept,
    notes,
    saved,
    options: {
      keep: (messages: readonly Message[]) => {
        kept.push(structuredClone([...messages]));
        return Promise.resolve(BlobRef.parse(createHash('sha256').update(JSON.stringify(messages)).digest('hex')));
      },
      onNote: (note: { type: string }) => void notes.push(note),
      checkpoint: {
        load: () =>
          Promise.resolve<Loaded>(
            start === null
              ? { state: 'none' }
              : { state: 'saved', checkpoint: AgentCheckpoint.parse(JSON.parse(start)) },
          ),
        restore: () => Promise.resolve(undefined),
        startOver: () => Promise.resolve(),
        save: (checkpoint: AgentCheckpoint) => {
          saved.push(JSON.stringify(checkpoint));
          return Promise.resolve();
        },
      },
    },
  };
}

describe('a conversation that outgrows its model', () => {
  test('is summed up by the model in calls of their own, and goes on to its end with nothing lost', async () => {
    const server = await playing(TURNS);
    const store = keeping();
    const result = await runWith(server.url, { ...SMALL, ...store.options });
    expect(result.turns).toBe(9);
    for (const name of NAMES) expect(await readFile(join(result.root, name), 'utf8')).toBe(`${name} ${LONG}`);
    const times = result.compactions.length;
    expect(times).toBeGreaterThan(0);
    expect(server.requests).toBe(9 + times);
    const paid = result.calls.filter((call) => call.purpose === 'compaction');
    expect(paid).toHaveLength(times);
    expect(result.usage.calls).toBe(9 + times);
    expect(store.notes.map(({ type }) => type)).toEqual(result.compactions.map(() => 'compacted'));
    for (const one of result.compactions) expect(one.toTokens).toBeLessThan(one.fromTokens);
    // Task and note come first, then the last turns as they were.
    const [first] = result.transcript;
    expect(JSON.stringify(first)).toContain('Build it.');
    expect(JSON.stringify(first)).toContain('A scripted note of');
    expect(result.transcript[1]?.role).toBe('assistant');
    // What is kept and what is left are the whole of it: every turn stands somewhere.
    const all = JSON.stringify([store.kept, result.transcript]);
    for (const name of NAMES) expect(all).toContain(`"path":"${name}"`);
    const replaced = result.compactions.reduce((sum, one) => sum + one.replaced, 0);
    expect(replaced + assistants(result.transcript)).toBe(9);
  });

  test('never asks for more than the model takes in', async () => {
    const server = await playing(TURNS);
    const { calls } = await runWith(server.url, { ...SMALL, ...keeping().options });
    for (const { usage } of calls)
      expect(usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens).toBeLessThanOrEqual(4_500);
  });

  test('can be gone on with by another worker from every point, and is not summed up twice', async () => {
    const server = await playing(TURNS);
    const store = keeping();
    const whole = await runWith(server.url, { ...SMALL, ...store.options });
    const points = store.saved.filter((_, index) => index % 3 === 0);
    for (const saved of points) {
      const other = await playing(TURNS);
      const resumed = await runWith(other.url, { ...SMALL, ...keeping(saved).options, root: whole.root, attempt: 2 });
      expect(resumed.transcript).toEqual(whole.transcript);
      expect(resumed.compactions).toEqual(whole.compactions);
      expect(resumed.calls).toHaveLength(whole.calls.length);
      expect(other.requests).toBe(whole.calls.length - AgentCheckpoint.parse(JSON.parse(saved)).calls.length);
    }
  });

  test('leaves out results that are too long themselves, and says so where they stood', async () => {
    const files = { tools: [write('a').tools[0], write('b').tools[0], write('c').tools[0]] };
    const reads = { tools: ['a', 'b', 'c'].map((path) => ({ tool: 'read_file', input: { path } })) };
    const server = await playing([files, reads, { tools: [HAND_OFF] }]);
    const result = await runWith(server.url, { ...SMALL, contextTokens: 6_000, ...keeping().options });
    expect(JSON.stringify(result.transcript)).toContain('is left out: the conversation does not fit with it');
    expect(result.final).toMatchObject({ summary: 'done' });
  });

  test('is given up when the model writes no note, also when it is asked again without tools', async () => {
    const jobs = [
      { phase: 'backend', persona: 'backend_developer', turns: TURNS, sum_up: { say: 'I would rather go on.' } },
    ];
    const server = await startScriptedProvider({ scripts: [Script.parse({ workflow: 'demo', jobs })] });
    onTestFinished(() => server.close());
    const failure = runWith(server.url, { ...SMALL, ...keeping().options });
    await expect(failure).rejects.toMatchObject({ code: 'AGENT_STUCK' });
    await expect(failure).rejects.toThrow('did not sum up the conversation');
  });
});

const NOTE = ['Done', 'Decisions', 'Files', 'Open', 'Next'].map((section) => `## ${section}\nas told`).join('\n');

/** A model that says twice, or once, that its context is full; in its answer, or by refusing the request. */
async function fullModel(how: 'answer' | 'refusal', times: number) {
  let left = times;
  return rawModel((response, { nth, body }) => {
    const id = `msg_${nth}`;
    const isNote = JSON.stringify(body.messages.at(-1)).includes('<sum-up/>');
    if (isNote) stream(response, answerEvents([{ type: 'text', text: NOTE }], 'end_turn', id));
    else if (nth < 2) {
      const input = { path: `${nth}.txt`, content: 'x' };
      stream(response, answerEvents([{ type: 'tool_use', name: 'write_file', input }], 'tool_use', id));
    } else if (left > 0) {
      left -= 1;
      if (how === 'answer')
        stream(response, answerEvents([{ type: 'text', text: 'ha' }], 'model_context_window_exceeded', id));
      else {
        const error = { type: 'invalid_request_error', message: 'prompt is too long: 210000 tokens > 200000 maximum' };
        response.writeHead(400, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ type: 'error', error }));
      }
    } else
      stream(
        response,
        answerEvents([{ type: 'tool_use', name: 'hand_off', input: { summary: 'done' } }], 'tool_use', id),
      );
  });
}

describe.each(['answer', 'refusal'] as const)('a model that says its context is full (%s)', (how) => {
  test('once: the conversation is summed up and goes on', async () => {
    const model = await fullModel(how, 1);
    const result = await runWith(model.url, keeping().options);
    expect(result.compactions).toHaveLength(1);
    expect(model.requests).toHaveLength(5);
    expect(JSON.stringify(result.transcript[0])).toContain('as told');
  });

  test('also then: there is an end, with the reason', async () => {
    const model = await fullModel(how, 2);
    const failure = runWith(model.url, keeping().options);
    await expect(failure).rejects.toMatchObject({ code: 'AGENT_STUCK', details: { contextWindowExceeded: true } });
    await expect(failure).rejects.toThrow('also after it was summed up');
    expect(model.requests).toHaveLength(5);
  });
});

test('the log of a run tells that a conversation was summed up, and the transcript links to the whole of it', async () => {
  const at = testRedis();
  const models = { prices: { none: null }, contextTokens: { none: 23_000 } };
  const { ctx, plan, server } = await personaRun(at, { turns: TURNS, tools: ['write_file'], models });
  const fence = personaFence(at.prefix, plan, 'held');
  await ctx.redis.set(fence.lockKey, fence.token);
  const signal = new AbortController().signal;
  const attempt = { number: 1, isLast: true };
  const result = await doPersonaJob(ctx, { data: personaData(plan), fence, signal, attempt, pausePoint: () => {} });
  const events = await ctx.store.readEvents(plan.runId, 0);
  const told = events.filter((event) => event.type === 'conversation.compacted');
  expect(told.length).toBeGreaterThan(0);
  expect(told[0]).toMatchObject({ phase: 'a', persona: 'noop', kind: 'work', round: 0 });
  const phase = await ctx.store.getPhase(plan.runId, 'a');
  expect(phase.usage.calls).toBe(server.requests);
  expect(server.requests).toBe(9 + told.length);
  const turns = events.filter((event) => event.type === 'persona.turn');
  expect(turns.reduce((sum, turn) => sum + turn.usage.calls, 0)).toBe(server.requests);
  const transcript: unknown = JSON.parse(
    Buffer.from(await ctx.blobs.get(result?.transcript ?? BlobRef.parse('0'.repeat(64)))).toString(),
  );
  const [first] = told;
  expect(transcript).toMatchObject({ compactions: [{ conversation: first?.conversation }] });
  const whole = readTalk(await wholeTalk(ctx.blobs, Transcript.parse(transcript)));
  expect(whole.turns.map(({ number }) => number)).toEqual(TURNS.map((_, index) => index + 1));
  const written = whole.turns.flatMap(({ items }) =>
    items.flatMap((item) => (item.kind === 'tool' && item.name === 'write_file' ? [item.input['path']] : [])),
  );
  expect(written).toEqual(NAMES);
  expect(whole.turns.flatMap(({ told: lines }) => lines).join('\n')).toContain('A scripted note of');
});
