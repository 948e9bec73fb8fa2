import { once } from 'node:events';
import { type Socket, connect, createServer } from 'node:net';

export interface CutProxy {
  url: string;
  /** Nobody gets through any more, and whoever was connected is thrown out. Returns how many were. */
  cut(): Promise<number>;
  mend(): Promise<void>;
  /** Throws out whoever is connected; they may dial again at once. Returns how many were. */
  drop(): number;
  /**
   * The next answer on any connection is swallowed and the connection broken: what was asked has been done,
   * and whoever asked cannot know. Resolves to false when there was no answer in that time.
   */
  dropReply(withinMs: number): Promise<boolean>;
  close(): Promise<void>;
}

/** A way to Redis that can be cut. */
export async function cutProxy(redisUrl: string): Promise<CutProxy> {
  const { port: redisPort, hostname } = new URL(redisUrl);
  const sockets = new Set<Socket>();
  let swallow: (() => void) | undefined;
  const server = createServer((client) => {
    const upstream = connect(Number(redisPort), hostname);
    const ends = [client, upstream];
    for (const [from, to] of [ends, ends.toReversed()]) {
      if (from === undefined || to === undefined) continue;
      sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
    client.pipe(upstream);
    upstream.on('data', (chunk) => {
      if (swallow === undefined) {
        client.write(chunk);
        return;
      }
      swallow();
      client.destroy();
      upstream.destroy();
    });
    upstream.on('end', () => client.end());
  });
  const listen = async (port: number): Promise<number> => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  };
  const port = await listen(0);
  const drop = (): number => {
    const broken = sockets.size / 2;
    for (const socket of sockets) socket.destroy();
    return broken;
  };
  const cut = async (): Promise<number> => {
    const closed = once(server, 'close');
    server.close();
    const broken = drop();
    await closed;
    return broken;
  };
  const dropReply = (withinMs: number): Promise<boolean> =>
    new Promise((resolve) => {
      const finish = (isDropped: boolean): void => {
        clearTimeout(timer);
        swallow = undefined;
        resolve(isDropped);
      };
      const timer = setTimeout(() => finish(false), withinMs);
      swallow = () => finish(true);
    });
  const through = new URL(redisUrl);
  through.hostname = '127.0.0.1';
  through.port = String(port);
  return {
    url: through.href,
    cut,
    mend: async () => void (await listen(port)),
    drop,
    dropReply,
    close: async () => void (server.listening && (await cut())),
  };
}
