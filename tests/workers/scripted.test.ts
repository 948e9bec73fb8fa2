import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import Anthropic from '@anthropic-ai/sdk';
import { describe, expect, onTestFinished, test } from 'vitest';
import { formatJobLine, parseJobLine } from '../../src/workers/agent/job-line.ts';
import { loadScript, loadScripts } from '../../src/workers/scripted/load-script.ts';
import { Script, findScriptJob } from '../../src/workers/scripted/script-schema.ts';
import { startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { JOB, playing } from './agent-support.ts';

async function folderWith(files: Record<string, string>): Promise<string> {
  const root = await tempFolder();
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), content);
  }
  return root;
}

const job = (turns: string): string => `workflow: demo
jobs:
  - phase: backend
    persona: dev
    turns:
${turns.replaceAll(/^/gm, '      ')}
`;

describe('loading a script', () => {
  test('expands trees, contents and quotes', async () => {
    const root = await folderWith({
      'script.yaml': job(`- { say: hello, write_tree: files/r0, tools: [{ tool: run_gates }] }
- tools: [{ tool: write_file, input: { path: x.md, content_from: files/r0/b/c.txt } }]
- tools:
    - tool: hand_over_review
      input:
        judgements:
          - metric: code_review_completion
            summary: fine
            items: [{ item: it is there, met: true, quote: { file: c.txt, find: second, in: files/r0/b/c.txt } }]`),
      'files/r0/a.js': 'export {};\n',
      'files/r0/b/c.txt': 'first\n  second line\n',
    });
    const script = await loadScript(join(root, 'script.yaml'));
    expect(script.jobs[0]?.turns.map((turn) => turn.tools)).toEqual([
      [
        { tool: 'write_file', input: { path: 'a.js', content: 'export {};\n' } },
        { tool: 'write_file', input: { path: 'b/c.txt', content: 'first\n  second line\n' } },
        { tool: 'run_gates', input: {} },
      ],
      [{ tool: 'write_file', input: { path: 'x.md', content: 'first\n  second line\n' } }],
      [
        expect.objectContaining({
          input: {
            judgements: [
              expect.objectContaining({
                items: [{ item: 'it is there', met: true, quote: { file: 'c.txt', line: 2, text: 'second line' } }],
              }),
            ],
          },
        }),
      ],
    ]);
  });

  test('reports every mistake at once, each with its line', async () => {
    const root = await folderWith({
      'script.yaml': job(`- { write_tree: files/none }
- tools: [{ tool: writefile, input: {} }]
- tools: [{ tool: write_file, input: { path: x, content_from: ../../secret } }]
- tools: [{ tool: hand_off, input: { sumary: x } }]
- tools: [{ tool: hand_over_review, input: { judgements: [{ file: a, find: nowhere, in: files/a.txt }] } }]
- {}`),
      'files/a.txt': 'a\n',
    });
    const failure = loadScript(join(root, 'script.yaml'));
    await expect(failure).rejects.toMatchObject({ code: 'BAD_INPUT' });
    for (const expected of [
      /script\.yaml:6:\d+: "files\/none" does not exist/,
      /script\.yaml:7:\d+: unknown tool "writefile" \(did you mean "write_file"\?\)/,
      /script\.yaml:8:\d+: "\.\.\/\.\.\/secret" does not exist|leads out/,
      /script\.yaml:9:\d+: hand_off\./,
      /script\.yaml:10:\d+: no line of "files\/a\.txt" contains "nowhere"/,
      /script\.yaml:11:\d+: a turn says something/,
    ]) {
      await expect(failure).rejects.toThrow(expected);
    }
  });

  test('never leaves its folder, not through a link either', async () => {
    const root = await folderWith({
      'demo/script.yaml': job(`- tools: [{ tool: write_file, input: { path: x, content_from: link.txt } }]`),
      'outside.txt': 'secret',
    });
    await symlink('../outside.txt', join(root, 'demo/link.txt'));
    await expect(loadScripts(root)).rejects.toThrow('"link.txt" leads out of the script\'s folder');
  });

  test('refuses two jobs for the same thing', async () => {
    const one = '  - { phase: a, persona: b, turns: [{ say: x }] }\n';
    const root = await folderWith({ 'script.yaml': `workflow: demo\njobs:\n${one}${one}` });
    await expect(loadScript(join(root, 'script.yaml'))).rejects.toThrow(/script\.yaml:4:\d+: there is already a job/);
  });
});

describe('choosing the job to play', () => {
  const script = Script.parse({
    workflow: 'demo',
    jobs: [
      { phase: 'p', persona: 'dev', round: 0, turns: [{ say: 'main 0' }] },
      { phase: 'p', persona: 'dev', round: 1, turns: [{ say: 'main 1' }] },
      { phase: 'p', persona: 'dev', round: 0, scenario: 'bad', turns: [{ say: 'bad 0' }] },
      { phase: 'p', persona: 'dev', kind: 'review', turns: [{ say: 'review' }] },
    ],
  });
  const played = (wanted: object): string | undefined =>
    findScriptJob([script], { workflow: 'demo', phase: 'p', persona: 'dev', kind: 'work', round: 0, ...wanted })
      ?.turns[0]?.say;

  test.each([
    [{}, 'main 0'],
    [{ scenario: 'bad' }, 'bad 0'],
    [{ scenario: 'bad', round: 1 }, 'main 1'],
    [{ round: 7 }, 'main 1'],
    [{ scenario: 'unknown' }, 'main 0'],
    [{ kind: 'review', round: 2 }, 'review'],
    [{ phase: 'q' }, undefined],
    [{ workflow: 'other' }, undefined],
  ])('%o plays %s', (wanted, expected) => {
    expect(played(wanted)).toBe(expected);
  });

  test('is told by a job line that is read as it was written', () => {
    const line = { ...JOB, scenario: 'sabotage:build_success' };
    expect(parseJobLine(`${formatJobLine(line)}\nrest`)).toEqual(line);
    expect(parseJobLine(`x${formatJobLine(line)}`)).toBeUndefined();
    expect(parseJobLine('<job run="a"/>')).toBeUndefined();
  });
});

const REQUEST = {
  model: 'm',
  max_tokens: 100,
  messages: [{ role: 'user', content: formatJobLine(JOB) }],
};
const HEADERS = { 'content-type': 'application/json', 'x-api-key': 'any', 'anthropic-version': '2023-06-01' };

async function post(url: string, body: unknown, headers: Record<string, string> = HEADERS, path = '/v1/messages') {
  const response = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  const answer: unknown = await response.json();
  return { status: response.status, answer, headers: response.headers };
}

const toolUse = (id: string) => ({ type: 'tool_use', id, name: 'list_files', input: {} });
const toolResult = (id: string) => ({ type: 'tool_result', tool_use_id: id, content: 'ok' });
const TOOL = { name: 'list_files', input_schema: { type: 'object' } };
const said = (content: unknown, ...more: unknown[]) => ({
  ...REQUEST,
  tools: [TOOL],
  messages: [...REQUEST.messages, { role: 'assistant', content }, ...more],
});

describe('the stand-in for the Messages API', () => {
  const turns = [{ say: 'Hello there.', tools: [{ tool: 'list_files' }] }, { say: 'Bye.' }];

  test('says on every answer that it is simulated', async () => {
    const { url } = await playing(turns);
    for (const { headers, answer } of [await post(url, REQUEST), await post(url, {})]) {
      expect(headers.get('x-maestro-simulated')).toBe('1');
      expect(headers.get('request-id')).toMatch(/^req_scripted_/);
      expect(JSON.stringify(answer)).not.toContain('claude');
    }
    expect((await post(url, REQUEST)).answer).toMatchObject({ model: 'scripted-1', stop_reason: 'tool_use' });
  });

  test('streams the same answer in pieces', async () => {
    const { url } = await playing(turns);
    const client = new Anthropic({ apiKey: 'x', baseURL: url, maxRetries: 0 });
    const request = { model: 'm', max_tokens: 9, messages: [{ role: 'user' as const, content: formatJobLine(JOB) }] };
    const types: string[] = [];
    const stream = client.messages.stream(request).on('streamEvent', (event) => void types.push(event.type));
    const streamed = await stream.finalMessage();
    const whole = await client.messages.create(request);
    expect(streamed.content).toMatchObject([
      { type: 'text', text: 'Hello there.' },
      { type: 'tool_use', name: 'list_files', input: {} },
    ]);
    expect(streamed.content.map((block) => block.type)).toEqual(whole.content.map((block) => block.type));
    expect(types.filter((type) => type === 'content_block_delta').length).toBeGreaterThan(3);
    expect(types.at(-1)).toBe('message_stop');
    expect(streamed.usage.output_tokens).toBe(whole.usage.output_tokens);
  });

  test('picks the turn by the answers so far, in any process', async () => {
    const { url } = await playing(turns);
    const other = await playing(turns);
    const second = said([toolUse('t1')], { role: 'user', content: [toolResult('t1')] });
    expect((await post(url, second)).answer).toMatchObject({ content: [{ text: 'Bye.' }], stop_reason: 'end_turn' });
    expect((await post(other.url, second)).answer).toEqual((await post(url, second)).answer);
  });

  test('counts tokens without answering', async () => {
    const { url, requests } = await playing(turns);
    const { max_tokens: _, ...counted } = REQUEST;
    const { answer } = await post(url, counted, HEADERS, '/v1/messages/count_tokens');
    expect(answer).toEqual({ input_tokens: Math.ceil(formatJobLine(JOB).length / 4) });
    expect(requests).toBe(0);
  });

  test.each([
    ['no key', REQUEST, { 'anthropic-version': 'x' }, 401, 'x-api-key'],
    ['no version', REQUEST, { 'x-api-key': 'x' }, 400, 'anthropic-version'],
    ['no model', { ...REQUEST, model: undefined }, HEADERS, 400, 'model: Field required'],
    ['no max_tokens', { ...REQUEST, max_tokens: undefined }, HEADERS, 400, 'max_tokens: Field required'],
    ['no messages', { ...REQUEST, messages: undefined }, HEADERS, 400, 'messages: Field required'],
    ['an empty list', { ...REQUEST, messages: [] }, HEADERS, 400, 'at least one message'],
    ['an unknown field', { ...REQUEST, max_token: 1 }, HEADERS, 400, 'max_token: Extra inputs are not permitted'],
    ['a wrong role', { ...REQUEST, messages: [{ role: 'tool', content: 'x' }] }, HEADERS, 400, 'messages.0.role'],
    ['an assistant first', { ...REQUEST, messages: [{ role: 'assistant', content: 'x' }] }, HEADERS, 400, 'user role'],
    ['empty content', { ...REQUEST, messages: [{ role: 'user', content: '' }] }, HEADERS, 400, 'non-empty'],
    ['prefill', said('Once'), HEADERS, 400, 'prefill'],
    [
      'a missing result',
      said([toolUse('a')], { role: 'user', content: 'go on' }),
      HEADERS,
      400,
      'without `tool_result`',
    ],
    [
      'one result of two',
      said([toolUse('a'), toolUse('b')], { role: 'user', content: [toolResult('a')] }),
      HEADERS,
      400,
      'immediately after: b',
    ],
    [
      'a stray result',
      said('x', { role: 'user', content: [toolResult('z')] }),
      HEADERS,
      400,
      'unexpected `tool_use_id`',
    ],
    [
      'text before results',
      said([toolUse('a')], { role: 'user', content: [{ type: 'text', text: 'x' }, toolResult('a')] }),
      HEADERS,
      400,
      'must come first',
    ],
    [
      'five cache breakpoints',
      {
        ...REQUEST,
        system: Array.from({ length: 5 }, () => ({ type: 'text', text: 'x', cache_control: { type: 'ephemeral' } })),
      },
      HEADERS,
      400,
      'Found 5',
    ],
    ['no job line', { ...REQUEST, messages: [{ role: 'user', content: 'hello' }] }, HEADERS, 404, '<job .../>'],
    [
      'a job without a script',
      { ...REQUEST, messages: [{ role: 'user', content: formatJobLine({ ...JOB, phase: 'other' }) }] },
      HEADERS,
      404,
      'no script for demo/other/backend_developer work round 0',
    ],
    [
      'a turn too many',
      said('x', { role: 'user', content: 'y' }, { role: 'assistant', content: 'z' }, { role: 'user', content: 'y' }),
      HEADERS,
      404,
      'no more turns',
    ],
  ])('refuses %s', async (_, body, headers, status, message) => {
    const { url } = await playing(turns);
    const refused = await post(url, body, { ...headers });
    expect(refused.status).toBe(status);
    expect(refused.answer).toMatchObject({ type: 'error', request_id: refused.headers.get('request-id') });
    expect(JSON.stringify(refused.answer)).toContain(JSON.stringify(message).slice(1, -1));
  });

  test('says who it is when its port is taken', async () => {
    const { url } = await playing(turns);
    const second = startScriptedProvider({ scripts: [], port: Number(new URL(url).port) });
    await expect(second).rejects.toMatchObject({ code: 'PORT_BUSY' });
  });

  test('can be closed twice, and ends what it is streaming', async () => {
    const server = await playing([{ say: 'x', fault: { mid_stream: 'hang' } }]);
    onTestFinished(() => server.close());
    const open = await fetch(`${server.url}/v1/messages`, {
      method: 'POST',
      headers: HEADERS,
      body: JSON.stringify({ ...REQUEST, stream: true }),
    });
    await Promise.all([server.close(), server.close()]);
    await expect(open.text()).rejects.toThrow('terminated');
  });
});
