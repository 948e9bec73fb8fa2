import { describe, expect, test } from 'vitest';
import { answerEvents, rawModel, stream } from '../support/raw-model.ts';
import { HAND_OFF, playing, runWith } from './agent-support.ts';

const handOff = { type: 'tool_use', name: 'hand_off', input: { summary: 'done' } } as const;
const writeFile = { type: 'tool_use', name: 'write_file', input: { path: 'a.txt', content: 'a' } } as const;
const WRITE = { tool: 'write_file', input: { path: 'a.txt', content: 'a' } };
const ended = answerEvents([handOff], 'tool_use', 'msg_end');

/** Answers the first request with these events, and hands over in the next. */
const first = (events: readonly { type: string }[]) =>
  rawModel((response, { nth }) => stream(response, nth === 0 ? events : ended));

describe('an answer that stops', () => {
  test('at its end without a hand-off is reminded of it', async () => {
    const model = await first(answerEvents([{ type: 'text', text: 'I think I am done.' }], 'end_turn'));
    const result = await runWith(model.url);
    expect(result.turns).toBe(2);
    expect(JSON.stringify(model.requests[1]?.messages)).toContain('nothing has been handed over');
  });

  test('at a stop sequence is reminded as well, and calls in it are run', async () => {
    const text = await first(answerEvents([{ type: 'text', text: 'STOP' }], 'stop_sequence'));
    expect((await runWith(text.url)).turns).toBe(2);
    const call = await first(answerEvents([writeFile], 'stop_sequence'));
    expect((await runWith(call.url)).wroteFiles).toBe(true);
  });

  test('at a pause is sent back as it is, with nothing said to it', async () => {
    const model = await first(answerEvents([{ type: 'text', text: 'working' }], 'pause_turn'));
    await runWith(model.url);
    expect(model.requests[1]?.messages.map(({ role }) => role)).toEqual(['user', 'assistant']);
  });

  test('with a text of nothing but blank space goes back without it, which no model would take', async () => {
    const server = await playing([{ say: '\n\n', tools: [WRITE] }, { tools: [HAND_OFF] }]);
    const { transcript } = await runWith(server.url);
    expect(transcript[1]?.content).toEqual([expect.objectContaining({ type: 'tool_use', name: 'write_file' })]);
  });

  test('for a reason nobody knows yet runs nothing, says so, and is given up when it goes on', async () => {
    const odd = answerEvents([writeFile, handOff], 'tool_budget_reached');
    const once = await first(odd);
    const result = await runWith(once.url);
    expect(result).toMatchObject({ turns: 2, wroteFiles: false });
    const told = JSON.stringify(once.requests[1]?.messages);
    expect(told.split('a reason that is not known here (tool_budget_reached)').length - 1).toBe(2);
    const always = await rawModel((response, { nth }) =>
      stream(response, answerEvents([{ type: 'text', text: 'odd' }], 'new_reason', `msg_${nth}`)),
    );
    await expect(runWith(always.url)).rejects.toThrow(
      'the model stopped for the reason "new_reason" without calling hand_off',
    );
    expect(always.requests).toHaveLength(3);
  });

  test('for no reason at all is a fault that may pass, and no answer', async () => {
    const model = await first(answerEvents([writeFile], null));
    const failure = runWith(model.url);
    await expect(failure).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE', retry: true });
  });
});

const half = answerEvents([{ type: 'text', text: 'half an answer' }], 'end_turn').slice(0, 3);
const error = (type: string) => ({ type: 'error', error: { type, message: 'as the test wants it' } });

test('a stream that pings is not silent, however long the model thinks', async () => {
  const model = await rawModel((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const send = ({ type }: { type: string }, data: object): boolean =>
      response.write(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
    const [begin = { type: '' }, ...rest] = ended;
    send(begin, begin);
    const pings = setInterval(() => send({ type: 'ping' }, { type: 'ping' }), 100);
    setTimeout(() => {
      clearInterval(pings);
      for (const event of rest) send(event, event);
      response.end();
    }, 4_000);
  });
  expect((await runWith(model.url, { idleTimeoutMs: 2_000 })).turns).toBe(1);
});

describe('a stream that goes wrong', () => {
  test.each([
    ['by an error that may pass', 'api_error', true],
    ['by being overloaded', 'overloaded_error', true],
    ['by a limit', 'rate_limit_error', true],
    ['by an error that will not pass', 'invalid_request_error', false],
    ['by a permission that is missing', 'permission_error', false],
  ])('%s in its middle (%s) ends the attempt (may pass: %s)', async (_, type, retry) => {
    const model = await rawModel((response) => stream(response, [...half, error(type)]));
    const failure = runWith(model.url);
    await expect(failure).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE', retry });
    await expect(failure).rejects.toThrow('as the test wants it');
    expect(model.requests).toHaveLength(1);
  });

  test.each<[string, (response: Parameters<Parameters<typeof rawModel>[0]>[0]) => void]>([
    ['with an end before its last event', (response) => stream(response, half)],
    ['with nothing in it', (response) => stream(response, [])],
    [
      'with a connection that breaks',
      (response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write(`event: message_start\ndata: ${JSON.stringify(half[0])}\n\n`, () => response.destroy());
      },
    ],
    [
      'with data that is no JSON',
      (response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.end('event: message_start\ndata: {"type": "message_st\n\n');
      },
    ],
    ['with an event that comes before the answer begins', (response) => stream(response, half.slice(1))],
    [
      'with a whole answer that is no stream',
      (response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(
          JSON.stringify({ id: 'msg_1', type: 'message', role: 'assistant', content: [], stop_reason: 'end_turn' }),
        );
      },
    ],
    [
      'with a page of a proxy',
      (response) => {
        response.writeHead(200, { 'content-type': 'text/html' });
        response.end('<html>sign in</html>');
      },
    ],
    [
      'with an empty page of a proxy that is down',
      (response) => {
        response.writeHead(502, { 'content-type': 'text/html' });
        response.end();
      },
    ],
  ])('%s is a fault that may pass, and no file is written', async (_, answer) => {
    const model = await rawModel(answer);
    const failure = runWith(model.url);
    await expect(failure).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE', retry: true });
    expect(model.requests).toHaveLength(1);
  });
});
