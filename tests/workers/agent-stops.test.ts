import { type Server, createServer } from 'node:http';
import { describe, expect, onTestFinished, test } from 'vitest';
import { FleetError } from '../../src/shared/errors.ts';
import { HAND_OFF, playing, runWith } from './agent-support.ts';

test('more than may be handed off is not handed off, until it is deleted', async () => {
  const write = { tool: 'write_file', input: { path: 'a.txt', content: 'more than may be' } };
  const deleted = { tool: 'delete_file', input: { path: 'a.txt' } };
  const small = { tool: 'write_file', input: { path: 'b.txt', content: 'less' } };
  const turns = [{ tools: [write] }, { tools: [HAND_OFF] }, { tools: [deleted, small] }, { tools: [HAND_OFF] }];
  const server = await playing(turns);
  const result = await runWith(server.url, { tools: ['write_file', 'delete_file'], mostBytes: 10 });
  expect(result.turns).toBe(4);
  const refused = JSON.stringify(result.transcript[4]);
  expect(refused).toContain('holds 1 files with 16 bytes');
  expect(refused).toContain('"is_error":true');

  const never = await playing([{ tools: [write] }, ...Array.from({ length: 4 }, () => ({ tools: [HAND_OFF] }))]);
  const stuck = runWith(never.url, { tools: ['write_file'], mostBytes: 10 });
  await expect(stuck).rejects.toMatchObject({ code: 'AGENT_STUCK' });
  await expect(stuck).rejects.toThrow('cannot be handed off');
});

describe('when the model stops', () => {
  test('without handing over, it is reminded twice and then given up', async () => {
    const idle = { say: 'I am done.' };
    const mended = await playing([idle, idle, { tools: [HAND_OFF] }]);
    expect((await runWith(mended.url)).turns).toBe(3);
    const hopeless = await playing([idle, idle, idle, { tools: [HAND_OFF] }]);
    await expect(runWith(hopeless.url)).rejects.toMatchObject({ code: 'AGENT_STUCK', retry: false });
    expect(hopeless.requests).toBe(3);
  });

  test('at the token limit, half a tool call is not run and it goes on in smaller steps', async () => {
    const half = {
      tools: [{ tool: 'write_file', input: { path: 'a.txt', content: 'half' } }],
      stop_reason: 'max_tokens',
    };
    const server = await playing([half, { say: 'more to', stop_reason: 'max_tokens' }, { tools: [HAND_OFF] }]);
    const result = await runWith(server.url);
    expect(result.wroteFiles).toBe(false);
    const text = JSON.stringify(result.transcript);
    expect(text).toContain('This call was cut off and has not been run.');
    expect(text).toContain('cut off at the limit of 4000 tokens');
  });

  test('at the token limit again and again, it is given up', async () => {
    const server = await playing(Array.from({ length: 6 }, () => ({ say: 'and', stop_reason: 'max_tokens' })));
    await expect(runWith(server.url)).rejects.toMatchObject({ code: 'AGENT_STUCK' });
    expect(server.requests).toBe(4);
  });

  test('because it refuses, the job fails and is not tried again', async () => {
    const server = await playing([{ say: 'No.', stop_reason: 'refusal' }]);
    const failure = runWith(server.url);
    await expect(failure).rejects.toMatchObject({ code: 'MODEL_REFUSED', retry: false });
    await expect(failure).rejects.toThrow('refused by the script');
  });

  test('because it pauses, it is sent its turn back and goes on', async () => {
    const server = await playing([{ say: 'thinking', stop_reason: 'pause_turn' }, { tools: [HAND_OFF] }]);
    const result = await runWith(server.url);
    expect(result.transcript.map((message) => message.role)).toEqual(['user', 'assistant', 'assistant', 'user']);
  });

  test('because its context is full, the message says so', async () => {
    const server = await playing([{ say: 'half', stop_reason: 'model_context_window_exceeded' }]);
    await expect(runWith(server.url)).rejects.toThrow('no longer fits into the context window');
  });
});

describe('when the call fails', () => {
  test.each([
    [400, 'invalid_request_error', false],
    [401, 'authentication_error', false],
    [403, 'permission_error', false],
    [404, 'not_found_error', false],
    [413, 'request_too_large', false],
    [429, 'rate_limit_error', true],
    [500, 'api_error', true],
    [503, 'api_error', true],
    [529, 'overloaded_error', true],
  ])('with %i %s, it is tried once (may pass later: %s)', async (status, type, retry) => {
    const server = await playing([{ fault: { status, type, message: 'as scripted', retry_after_s: 2 } }]);
    const failure = runWith(server.url);
    await expect(failure).rejects.toMatchObject({
      code: 'MODEL_UNAVAILABLE',
      retry,
      details: { status, type, retryAfterMs: 2_000 },
    });
    await expect(failure).rejects.toThrow('as scripted');
    expect(server.requests).toBe(1);
  });

  test('once only, the next attempt succeeds', async () => {
    const server = await playing([
      { tools: [HAND_OFF], fault: { status: 529, type: 'overloaded_error', only_first: true } },
    ]);
    await expect(runWith(server.url)).rejects.toMatchObject({ retry: true });
    expect((await runWith(server.url, { attempt: 2 })).final).toMatchObject({ summary: 'done' });
  });

  test.each([
    ['error', 'overloaded_error'],
    ['cut', undefined],
  ])('in the middle of the stream (%s), the job may be tried again', async (how, type) => {
    const server = await playing([{ say: 'a long answer', fault: { mid_stream: how, ...(type ? { type } : {}) } }]);
    await expect(runWith(server.url)).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE', retry: true });
  });

  test('by falling silent, the idle timer ends it', async () => {
    const server = await playing([{ say: 'a long answer', fault: { mid_stream: 'hang' } }]);
    const failure = runWith(server.url, { idleTimeoutMs: 200 });
    await expect(failure).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE', retry: true });
    await expect(failure).rejects.toThrow('silent for 200 ms');
  });

  test('is not what happens to a stream that is slow and steady', async () => {
    const server = await playing([{ say: 'slow', tools: [HAND_OFF], pace_ms: 100 }]);
    const before = Date.now();
    await runWith(server.url, { idleTimeoutMs: 1_000 });
    expect(Date.now() - before).toBeGreaterThan(1_000);
  });

  test('because nobody listens there, the address is named', async () => {
    const server = await playing([{ tools: [HAND_OFF] }]);
    await server.close();
    const failure = runWith(server.url);
    await expect(failure).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE', retry: true });
    await expect(failure).rejects.toThrow(new URL(server.url).host);
  });

  test('with something that is no API at all, it is a fault and not an answer', async () => {
    const server: Server = createServer((_, response) => {
      response.writeHead(200, { 'content-type': 'text/html' });
      response.end('<html>hello</html>');
    });
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        resolve(typeof address === 'object' ? (address?.port ?? 0) : 0);
      });
    });
    onTestFinished(() => void server.close());
    await expect(runWith(`http://127.0.0.1:${port}`)).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE' });
  });
});

describe('when the work is cancelled', () => {
  test('in the middle of an answer, the stream ends at once', async () => {
    const server = await playing([{ say: 'a long answer', fault: { mid_stream: 'hang' } }]);
    const controller = new AbortController();
    const running = runWith(server.url, { signal: controller.signal, idleTimeoutMs: 60_000 });
    await expect.poll(() => server.requests).toBe(1);
    const before = Date.now();
    controller.abort();
    await expect(running).rejects.toMatchObject({ code: 'CANCELLED', retry: false });
    expect(Date.now() - before).toBeLessThan(30_000);
  });

  test('for a reason, the reason is what is thrown', async () => {
    const server = await playing([{ tools: [HAND_OFF] }], 30_000);
    const controller = new AbortController();
    const running = runWith(server.url, { signal: controller.signal });
    controller.abort(new FleetError('TIMEOUT', 'the phase ran out of time'));
    await expect(running).rejects.toMatchObject({ code: 'TIMEOUT' });
  });
});
