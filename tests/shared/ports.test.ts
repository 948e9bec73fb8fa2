import { createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { portBusyError, portOwner } from '../../src/shared/ports.ts';
import { childModule } from '../support/child-module.ts';

async function listen(host: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, host, done));
  onTestFinished(() => void server.close());
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
}

test.each(['127.0.0.1', '0.0.0.0', '::1', '::'])('the owner of a port bound to %s is named', async (host) => {
  expect(await portOwner(await listen(host))).toContain(`pid ${process.pid} (`);
});

test('the owner is another process when that one listens', async () => {
  const { pid, line } = await childModule(`
    import { createServer } from 'node:net';
    const server = createServer();
    server.listen(0, '127.0.0.1', () => console.log((server.address() as { port: number }).port));
  `);
  expect(await portOwner(Number(line))).toMatch(new RegExp(`^pid ${pid} \\(.*node .*program[.]cjs\\)$`));
});

test('a port that nobody listens on has no owner', async () => {
  expect(await portOwner(1)).toBeUndefined();
});

test('a busy port is an error that ends a command with 4, and names the port, the owner and a way out', async () => {
  const port = await listen('127.0.0.1');
  const err = await portBusyError(port, '127.0.0.1');
  expect(err).toMatchObject({ code: 'PORT_BUSY', exitCode: 4 });
  expect(err.message).toMatch(new RegExp(`^port ${port} on 127[.]0[.]0[.]1 is taken by pid ${process.pid} `));
  expect(err.remedy).toContain('--port 0');
});
