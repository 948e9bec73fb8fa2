import { type IncomingHttpHeaders, createServer } from 'node:http';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { retryAfterMs } from '../../src/workers/models/rate-headers.ts';
import { endpointKeys, endpointOf, parseModelConfig } from '../../src/shared/model-config.ts';
import { openProvider } from '../../src/workers/models/provider.ts';
import { HAND_OFF, NO_KEYS, playing, runWith } from './agent-support.ts';

const withKey = (baseUrl: string | undefined) => ({
  anthropic: { apiKey: 'a-key-for-tests', authToken: undefined, baseUrl },
  scriptedUrl: undefined,
});

/** Notes the headers of a request and refuses it. */
async function listening(): Promise<{ url: string; seen: IncomingHttpHeaders[] }> {
  const seen: IncomingHttpHeaders[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers);
    response.writeHead(400, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ type: 'error', error: { type: 'invalid_request_error', message: 'no' } }));
  });
  onTestFinished(() => void server.close());
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' ? (address?.port ?? 0) : 0);
    });
  });
  return { url: `http://127.0.0.1:${port}`, seen };
}

const HOSTILE = {
  ANTHROPIC_API_KEY: 'from-the-environment',
  ANTHROPIC_AUTH_TOKEN: 'from-the-environment',
  ANTHROPIC_BASE_URL: 'http://127.0.0.1:9',
  ANTHROPIC_CUSTOM_HEADERS: 'x-secret: from-the-environment\nx-api-key: from-the-environment',
};

afterEach(() => {
  for (const name of Object.keys(HOSTILE)) process.env[name] = '';
});

describe('the scripted provider', () => {
  test('takes nothing from the environment', async () => {
    Object.assign(process.env, HOSTILE);
    const { url, seen } = await listening();
    const provider = openProvider({ name: 'scripted', config: NO_KEYS, scriptedUrl: url });
    await expect(runWith(url, { provider })).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE' });
    expect(seen).toHaveLength(1);
    expect(seen[0]?.authorization).toBe('Bearer scripted');
    expect(JSON.stringify(seen)).not.toContain('from-the-environment');
  });

  test('needs an address', () => {
    expect(() => openProvider({ name: 'scripted', config: NO_KEYS })).toThrow(/address is not known/);
  });

  test('is simulated, also when what answers does not say so', () => {
    const provider = openProvider({ name: 'scripted', config: NO_KEYS, scriptedUrl: 'http://127.0.0.1:1' });
    expect(provider).toMatchObject({ name: 'scripted', simulated: true, host: '127.0.0.1:1' });
  });
});

describe('the Anthropic provider', () => {
  test('is never opened without a key in the configuration', () => {
    Object.assign(process.env, HOSTILE);
    const open = () => openProvider({ name: 'anthropic', config: NO_KEYS });
    expect(open).toThrow(expect.objectContaining({ code: 'MODEL_UNAVAILABLE', exitCode: 4, retry: false }));
  });

  test('goes to the configured address with the configured key', async () => {
    Object.assign(process.env, { ...HOSTILE, ANTHROPIC_CUSTOM_HEADERS: '' });
    const { url, seen } = await listening();
    const provider = openProvider({ name: 'anthropic', config: withKey(url) });
    expect(provider).toMatchObject({ name: 'anthropic', simulated: false, host: new URL(url).host });
    await expect(runWith(url, { provider })).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE', retry: false });
    expect(seen[0]?.authorization).toBe('Bearer a-key-for-tests');
  });

  test('goes to Anthropic when nothing else is configured', () => {
    process.env['ANTHROPIC_BASE_URL'] = 'http://127.0.0.1:9';
    expect(openProvider({ name: 'anthropic', config: withKey(undefined) }).host).toBe('api.anthropic.com');
  });

  test('pointed at the stand-in, its calls are recorded as simulated all the same', async () => {
    const server = await playing([{ tools: [HAND_OFF] }]);
    const provider = openProvider({ name: 'anthropic', config: withKey(server.url) });
    const result = await runWith(server.url, { provider });
    expect(result.simulated).toBe(true);
    expect(result.calls[0]).toMatchObject({ simulated: true, usage: { costUsd: 0 } });
  });
});

describe('an endpoint of its own', () => {
  const MODELS = `apiVersion: maestro/v1
aliases: { big: model-a }
prices: { model-a: null, model-b: null }
endpoints:
  gateway: { url: http://URL, keyEnv: GATEWAY_KEY, models: [model-a] }
`;

  test('is asked for the models that stand there, with the key of the variable that it names', async () => {
    const { url, seen } = await listening();
    const models = parseModelConfig(MODELS.replace('http://URL', url), 'models.yaml');
    const endpoint = endpointOf(models, 'model-a');
    expect(endpointOf(models, 'model-b')).toBeUndefined();
    expect(endpoint).toMatchObject({ name: 'gateway', url });
    if (endpoint === undefined) return;
    const keys = endpointKeys(models, { GATEWAY_KEY: 'the-key-of-the-gateway', ANTHROPIC_API_KEY: 'another' });
    const provider = openProvider({
      name: 'anthropic',
      config: NO_KEYS,
      endpoint: { ...endpoint, key: keys[endpoint.keyEnv] },
    });
    await expect(runWith(url, { provider })).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE' });
    expect(seen[0]?.authorization).toBe('Bearer the-key-of-the-gateway');
    const keyless = () =>
      openProvider({ name: 'anthropic', config: NO_KEYS, endpoint: { ...endpoint, key: undefined } });
    expect(keyless).toThrow(expect.objectContaining({ remedy: 'Set GATEWAY_KEY where the worker is started.' }));
  });

  test.each([
    ['keyEnv: GATEWAY_KEY', 'keyEnv: sk-ant-1234', /models\.yaml:5:\d+: .*NAME of the environment variable/],
    ['models: [model-a]', 'models: [model-z]', /model-z is not listed under prices/],
    [
      'models: [model-a] }',
      'models: [model-a] }\n  other: { url: http://h, keyEnv: K, models: [model-a] }',
      /stands at the endpoint gateway already/,
    ],
  ])('is refused when %s reads %s', (before, after, message) => {
    expect(() => parseModelConfig(MODELS.replace(before, after), 'models.yaml')).toThrow(message);
  });
});

test('how long to wait is read in milliseconds, in seconds and as a date', () => {
  const date = 'Thu, 01 Jan 2026 00:00:00 GMT';
  const wait = (name: string, value: string) => retryAfterMs(new Headers({ [name]: value, date }));
  expect(wait('retry-after-ms', '1500')).toBe(1_500);
  expect(wait('retry-after', '7')).toBe(7_000);
  expect(wait('retry-after', 'Thu, 01 Jan 2026 00:00:30 GMT')).toBe(30_000);
  expect(wait('retry-after', 'soon')).toBeUndefined();
  expect(wait('retry-after', '99999999')).toBe(24 * 3600_000);
  const soon = new Headers({ 'retry-after': new Date(Date.now() + 30_000).toUTCString() });
  expect(retryAfterMs(soon)).toBeGreaterThan(28_000);
  expect(retryAfterMs(new Headers())).toBeUndefined();
});
