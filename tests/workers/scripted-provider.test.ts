import Anthropic from '@anthropic-ai/sdk';
import { describe, expect, test } from 'vitest';
import { formatJobLine } from '../../src/workers/agent/job-line.ts';
import { RateGate } from '../../src/workers/scripted/rate-limits.ts';
import { signatureOf } from '../../src/workers/scripted/signature.ts';
import { JOB, playing } from './agent-support.ts';

const REQUEST = { model: 'm', max_tokens: 100, messages: [{ role: 'user', content: formatJobLine(JOB) }] };

function post(url: string, body: unknown, version = '2023-06-01', path = '/v1/messages'): Promise<Response> {
  const headers = { 'content-type': 'application/json', 'x-api-key': 'any', 'anthropic-version': version };
  return fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
}

const TURNS = [{ think: 'Where to begin?', say: 'Hello there.' }, { say: 'Bye.' }, { say: 'Not again.' }];
const thought = (thinking: string, signature = signatureOf(thinking)) => ({ type: 'thinking', thinking, signature });
const text = (words: string, ttl?: '5m' | '1h') => ({
  type: 'text',
  text: words,
  ...(ttl === undefined ? {} : { cache_control: { type: 'ephemeral', ttl } }),
});
const use = (id: string) => ({ type: 'tool_use', id, name: 'list_files', input: {} });
const result = (id: string) => ({ type: 'tool_result', tool_use_id: id, content: 'ok' });
const tool = (name: string) => ({ name, input_schema: { type: 'object' } });
const said = (content: unknown, next: unknown = 'go on', more: object = {}) => ({
  ...REQUEST,
  ...more,
  messages: [...REQUEST.messages, { role: 'assistant', content }, { role: 'user', content: next }],
});
const WITH_TOOL = { tools: [tool('list_files')] };
const IMAGE = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'aGVsbG8=' } };
const thinking = { type: 'enabled', budget_tokens: 1_024 };

describe('the stand-in refuses, as the real API does,', () => {
  test.each([
    ['a thought with another signature', said([thought('Where?', 'sig')]), 'Invalid `signature` in `thinking` block'],
    ['the signature of another thought', said([thought('Where?', signatureOf('Why?'))]), 'messages.1.content.0'],
    ['more output than a model gives', { ...REQUEST, max_tokens: 128_001 }, 'max_tokens: 128001 > 128000'],
    [
      'no room beside the thoughts',
      { ...REQUEST, max_tokens: 1_024, thinking },
      'must be greater than `thinking.budget',
    ],
    ['thinking without a budget', { ...REQUEST, thinking: { type: 'enabled' } }, 'budget_tokens: Field required'],
    [
      'thinking at a temperature',
      { ...REQUEST, max_tokens: 2_000, thinking, temperature: 0.5 },
      'may only be set to 1',
    ],
    ['a prompt that is too long', { ...REQUEST, system: 'x'.repeat(800_004) }, 'tokens > 200000 maximum'],
    ['two tools of one name', { ...REQUEST, tools: [tool('a'), tool('a')] }, 'Tool names must be unique'],
    ['a tool name with spaces', { ...REQUEST, tools: [tool('a b')] }, 'tools.0.name'],
    ['a choice among no tools', { ...REQUEST, tool_choice: { type: 'any' } }, 'while providing tools'],
    [
      'a choice of no tool',
      { ...REQUEST, ...WITH_TOOL, tool_choice: { type: 'tool', name: 'shell' } },
      "Tool 'shell' not found",
    ],
    ['results without tools', said([use('a')], [result('a')]), 'must define tools'],
    ['a result given twice', said([use('a')], [result('a'), result('a')], WITH_TOOL), 'blocks with id: a'],
    ['an id used twice', said([use('a'), use('a')], [result('a')], WITH_TOOL), 'ids must be unique (a)'],
    [
      'an hour after five minutes',
      { ...REQUEST, system: [text('a', '5m'), text('b', '1h')] },
      "ttl='1h' cache_control",
    ],
    [
      'an unknown time to keep',
      { ...REQUEST, system: [{ ...text('a'), cache_control: { type: 'ephemeral', ttl: '2h' } }] },
      'system.0.cache_control.ttl: ',
    ],
    ['an image from the model', said([IMAGE]), '`image` blocks cannot be in assistant messages'],
    ['a blank text', { ...REQUEST, system: [text(' \n')] }, 'non-whitespace'],
    ['a system role', { ...REQUEST, messages: [{ role: 'system', content: 'x' }] }, 'Unexpected role \\"system\\"'],
  ])('%s', async (_, body, message) => {
    const server = await playing(TURNS);
    const refused = await post(server.url, body);
    expect(refused.status).toBe(400);
    const told = await refused.text();
    expect(told).toContain('"type":"invalid_request_error"');
    expect(told).toContain(message);
    expect(server.ledger).toEqual([]);
  });

  test('a version that is none, and a body of more than 32 MB', async () => {
    const { url, ledger } = await playing(TURNS);
    expect((await post(url, REQUEST, 'latest')).status).toBe(400);
    const large = await post(url, { ...REQUEST, system: 'x'.repeat(32 * 1024 ** 2) });
    expect([large.status, await large.text()]).toEqual([413, expect.stringContaining('request_too_large')]);
    expect(ledger).toEqual([]);
  });

  test('and takes what is just within bounds', async () => {
    const { url } = await playing(TURNS);
    const kept = { ...REQUEST, system: [text('a', '1h'), text('b', '5m')], max_tokens: 128_000 };
    const back = said([thought('Where to begin?'), text('Hello there.')]);
    const chosen = { ...REQUEST, ...WITH_TOOL, tool_choice: { type: 'tool', name: 'list_files' } };
    const thoughtful = { ...REQUEST, max_tokens: 1_025, thinking, temperature: 1 };
    for (const body of [kept, back, chosen, thoughtful]) expect((await post(url, body)).status).toBe(200);
    const first = await (await post(url, REQUEST)).text();
    expect(first).toContain(signatureOf('Where to begin?'));
  });
});

describe('the limits of a minute', () => {
  const left = (answer: Response, kind: string): number[] =>
    ['limit', 'remaining'].map((name) => Number(answer.headers.get(`anthropic-ratelimit-${kind}-${name}`)));

  test('are told on every answer, and refused beyond, with the time to wait', async () => {
    const server = await playing(TURNS, 0, { limits: { requestsPerMinute: 2 } });
    const answers = [];
    for (let nth = 0; nth < 3; nth += 1) answers.push(await post(server.url, REQUEST));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect(answers.map((answer) => left(answer, 'requests'))).toEqual([
      [2, 1],
      [2, 0],
      [2, 0],
    ]);
    const [first, , last] = answers;
    expect(await last?.text()).toMatch(/"rate_limit_error".*rate limit of requests per minute/);
    expect(Number(last?.headers.get('retry-after'))).toBeGreaterThan(20);
    expect(first?.headers.get('retry-after')).toBeNull();
    expect(Date.parse(last?.headers.get('anthropic-ratelimit-requests-reset') ?? '')).toBeGreaterThan(Date.now());
    expect(server.ledger).toHaveLength(2);
  });

  test.each([
    ['input-tokens', { inputTokensPerMinute: 100 }],
    ['output-tokens', { outputTokensPerMinute: 150 }],
  ])('hold for %s', async (kind, limits) => {
    const { url } = await playing([{ say: 'word '.repeat(200) }], 0, { limits });
    const big = { ...REQUEST, system: 'x'.repeat(300) };
    expect((await post(url, big)).status).toBe(200);
    const refused = await post(url, big);
    expect([refused.status, await refused.text()]).toEqual([429, expect.stringContaining(kind.replace('-', ' '))]);
  });

  test('fill up again by and by, and what was not used comes back', () => {
    let now = 0;
    const gate = new RateGate({ requestsPerMinute: 60, outputTokensPerMinute: 600 }, () => now);
    expect(gate.enter(1, 600)).toBeUndefined();
    expect(gate.enter(1, 100)).toEqual({ waitS: 10, kind: 'output-tokens' });
    gate.settle(450);
    expect(gate.headers()).toMatchObject({
      'anthropic-ratelimit-output-tokens-remaining': '450',
      'anthropic-ratelimit-requests-remaining': '59',
      'anthropic-ratelimit-output-tokens-reset': '1970-01-01T00:00:15.000Z',
    });
    now = 5_000;
    expect(gate.headers()['anthropic-ratelimit-output-tokens-remaining']).toBe('500');
    // More than a minute's worth is let through when the bucket is full.
    expect(gate.enter(1, 9_000)).toEqual({ waitS: 10, kind: 'output-tokens' });
    now = 15_000;
    expect(gate.enter(1, 9_000)).toBeUndefined();
  });
});

describe('a stream', () => {
  const streamed = { ...REQUEST, stream: true };

  test('has its headers at once, and its first event after first_token_ms', async () => {
    const { url } = await playing([{ say: 'Hello.', first_token_ms: 400 }]);
    const answer = await post(url, streamed);
    const since = performance.now();
    const body = await answer.text();
    // Timers may fire a millisecond early.
    expect(performance.now() - since).toBeGreaterThan(390);
    expect(body).toMatch(/^event: message_start\n/);
    expect(body).toContain('event: message_stop\n');
  });

  test('that is malformed cannot be read, and stays incomplete on the bill', async () => {
    const server = await playing([{ say: 'Hello.', fault: { mid_stream: 'malformed' } }]);
    const raw = await (await post(server.url, streamed)).text();
    const last = raw.trimEnd().split('\n').at(-1) ?? '';
    expect(last).toMatch(/^data: /);
    expect(() => void JSON.parse(last.slice('data: '.length))).toThrow(SyntaxError);
    expect(raw).not.toContain('message_stop');
    const client = new Anthropic({ apiKey: 'x', baseURL: server.url, maxRetries: 0 });
    const message = { role: 'user' as const, content: formatJobLine(JOB) };
    const read = client.messages.stream({ model: 'm', max_tokens: 9, messages: [message] }).finalMessage();
    await expect(read).rejects.toThrow(/JSON/);
    expect(server.ledger.map(({ isComplete }) => isComplete)).toEqual([false, false]);
    expect(server.ledger[0]?.outputTokens).toBeGreaterThan(0);
  });
});
