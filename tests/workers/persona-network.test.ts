import { once } from 'node:events';
import { createServer } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { readConfig } from '../../src/shared/config.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { openSandbox } from '../../src/shared/sandbox/open-sandbox.ts';
import { scriptedPersona } from '../support/scripted-persona.ts';
import { HAND_OFF } from './agent-support.ts';

const realSandbox = () => {
  const { cache } = readConfig({ XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] }, process.cwd());
  return openSandbox({ mode: 'bwrap', cache, logger: silentLogger() });
};
const PLACE = 'registry.example.org:443';

test('a persona reaches what its file and the operator name, and its transcript tells what was refused', async () => {
  const server = createServer((_req, res) => res.end('from the registry')).listen(0, '127.0.0.2');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  const place = `127.0.0.2:${typeof address === 'object' && address !== null ? address.port : 0}`;
  // What a program of the field does with the proxy it is told of.
  const get = (url: string) =>
    `node -e "const p = new URL(process.env.HTTP_PROXY); require('http').get({ host: p.hostname, port: p.port, path: '${url}' }, (r) => r.pipe(process.stdout))"`;
  const command = `${get(`http://${place}/x`)} > got.txt; cat got.txt; ${get('http://169.254.169.254/latest/meta-data')}`;
  const { ended } = await scriptedPersona([{ tools: [{ tool: 'shell', input: { command } }] }, { tools: [HAND_OFF] }], {
    tools: ['shell'],
    persona: { network: [place] },
    config: { networkAllow: [place, PLACE] },
    sandbox: await realSandbox(),
  });
  const { phase, transcript } = await ended();
  expect(phase.status).toBe('not_gated');
  expect(transcript).toContain('from the registry');
  expect(transcript).toContain('The network refused: 169.254.169.254:80 is not among the hosts that are allowed.');
}, 60_000);

test.each([
  [{ network: [PLACE] }, 'NETWORK_NOT_ALLOWED', `the persona "noop" needs ${PLACE}, which this worker does not allow`],
  [
    { mcp: { absent: { command: 'no-such-server', tools: ['x'] } } },
    'MCP_UNAVAILABLE',
    'the MCP server "absent" of the persona "noop" cannot be used: it ended with exit code 127',
  ],
  [{ mcp: { far: { url: `https://${PLACE}/mcp`, tools: ['x'] } } }, 'NETWORK_NOT_ALLOWED', PLACE],
])(
  'a persona whose promises cannot be kept does not work at all: %j',
  async (persona, code, reason) => {
    const { ended, server } = await scriptedPersona([{ tools: [HAND_OFF] }], { persona, sandbox: await realSandbox() });
    const { phase, run } = await ended();
    expect([phase.status, run.status]).toEqual(['blocked', 'blocked']);
    expect(phase.reason).toContain(code);
    expect(phase.reason).toContain(reason);
    // No model was asked.
    expect(server.requests).toBe(0);
  },
  60_000,
);
