import { chmod, chown, mkdtemp, rm } from 'node:fs/promises';
import { type IncomingMessage, type ServerResponse, createServer, request } from 'node:http';
import { type Socket, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { errorMessage } from '../errors.ts';
import { type Egress, splitHostPort } from './allow-list.ts';
import { Refusal, allowedAddress } from './allowed-address.ts';

export interface EgressLimits {
  /** Of all that goes through, in both directions together. */
  bytes: number;
  /** At the same time, and in all. */
  connections: number;
  totalConnections: number;
  idleMs: number;
}

const LIMITS: EgressLimits = { bytes: 512 * 1024 ** 2, connections: 64, totalConnections: 2_000, idleMs: 60_000 };
const MAX_REFUSALS = 50;
const AUDIT_MS = 100;
const CONNECT_MS = 15_000;
/** What belongs to one connection and is never passed on; `proxy-authorization` least of all. */
const OF_THE_CONNECTION = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'host',
];

export interface EgressProxy {
  /** The folder that holds nothing but the socket. */
  folder: string;
  /** What was not let through, in words, and each only once. */
  refusals(): string[];
  close(): Promise<void>;
}

export const SOCKET_NAME = 'proxy.sock';

/**
 * An HTTP proxy on a unix socket that a sandboxed command is given: CONNECT to the places on the list, plain GET and
 * HEAD likewise, and nothing else. It adds no credentials of its own.
 */
export async function openEgressProxy(
  egress: Egress,
  options: { uid?: number; limits?: Partial<EgressLimits> } = {},
): Promise<EgressProxy> {
  const limits = { ...LIMITS, ...options.limits };
  const gate = new Gate(egress, limits);
  const server = createServer((incoming, answer) => void gate.plain(incoming, answer));
  server.on('connect', (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    void gate.tunnel(incoming.url ?? '', socket, head);
  });
  server.on('connection', (socket) => gate.admit(socket));
  const audits = setInterval(() => gate.audit(), AUDIT_MS).unref();
  server.on('clientError', (_err, socket) => socket.destroy());
  const folder = await mkdtemp(join(tmpdir(), 'maestro-egress-'));
  const path = join(folder, SOCKET_NAME);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  await chmod(path, 0o600);
  if (options.uid !== undefined) for (const at of [path, folder]) await chown(at, options.uid, options.uid);
  return {
    folder,
    refusals: () => gate.refusals,
    async close() {
      clearInterval(audits);
      gate.close();
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
      await rm(folder, { recursive: true, force: true });
    },
  };
}

class Gate {
  readonly refusals: string[] = [];
  readonly #egress: Egress;
  readonly #limits: EgressLimits;
  readonly #clients = new Set<Socket>();
  /** Of either side. */
  readonly #open = new Set<Socket>();
  #closedBytes = 0;
  #connections = 0;
  #isClosed = false;

  constructor(egress: Egress, limits: EgressLimits) {
    this.#egress = egress;
    this.#limits = limits;
  }

  /** Closes everything for good. */
  close(): void {
    this.#isClosed = true;
    this.closeAll();
  }

  closeAll(): void {
    for (const socket of this.#open) socket.destroy();
  }

  /** Whether one more connection of the command is let in. */
  admit(socket: Socket): void {
    this.#connections += 1;
    const { connections, totalConnections, idleMs } = this.#limits;
    this.#bound(socket);
    if (this.#clients.size >= connections || this.#connections > totalConnections) {
      this.#refuse(`more than ${connections} connections at once, or ${totalConnections} in all`);
      socket.destroy();
      return;
    }
    this.#clients.add(socket);
    socket.setTimeout(idleMs, () => socket.destroy());
    socket.once('close', () => {
      this.#clients.delete(socket);
      this.#closedBytes += through(socket);
    });
  }

  /** Closes everything when too much went through, and whatever is opened afterwards. */
  audit(): void {
    const total = [...this.#clients].reduce((sum, socket) => sum + through(socket), this.#closedBytes);
    if (total <= this.#limits.bytes) return;
    this.#refuse(`more than ${this.#limits.bytes} bytes went through`);
    this.closeAll();
  }

  async tunnel(target: string, client: Duplex, head: Buffer): Promise<void> {
    client.on('error', () => client.destroy());
    try {
      const { host, port } = splitHostPort(target) ?? {};
      if (host === undefined || port === undefined) throw new Refusal(`CONNECT ${shown(target)} names no host:port`);
      const address = await allowedAddress(this.#egress, host, port);
      // Names take a while: whoever asked may be gone, and then nothing would close what is opened here.
      if (this.#isClosed || client.destroyed) return void client.destroy();
      const upstream = connect({ host: address, port });
      this.#bound(upstream);
      // The two ends of a tunnel live and die together.
      upstream.once('close', () => client.destroy());
      client.once('close', () => upstream.destroy());
      await connected(upstream);
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      if (head.length > 0) upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    } catch (err) {
      const [status, why] = this.#why(err);
      client.end(`HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n${why}\n`);
    }
  }

  async plain(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    try {
      const { method = '', url = '' } = incoming;
      if (!URL.canParse(url) || new URL(url).protocol !== 'http:')
        throw new Refusal(`${shown(url)} is no http:// address`);
      if (method !== 'GET' && method !== 'HEAD') throw new Refusal(`${method} in plain HTTP is not allowed`);
      const { hostname, port, host, pathname, search } = new URL(url);
      const bare = hostname.replaceAll(/^\[|\]$/g, '');
      const at = Number(port === '' ? 80 : port);
      const address = await allowedAddress(this.#egress, bare, at);
      if (this.#isClosed || answer.destroyed) return void answer.destroy();
      const kept = Object.entries(incoming.headers).filter(
        ([name]) => ![...OF_THE_CONNECTION, 'content-length', 'expect'].includes(name),
      );
      const headers = { ...Object.fromEntries(kept), host };
      const outgoing = request({
        host: address,
        port: at,
        method,
        path: `${pathname}${search}`,
        headers,
        agent: false,
      });
      outgoing.setTimeout(this.#limits.idleMs, () => outgoing.destroy());
      outgoing.once('socket', (socket) => this.#bound(socket));
      answer.once('close', () => outgoing.destroy());
      const reply = await new Promise<IncomingMessage>((resolve, reject) => {
        outgoing.once('response', resolve).once('error', reject).end();
      });
      const passed = Object.entries(reply.headers).filter(([name]) => !OF_THE_CONNECTION.includes(name));
      answer.writeHead(reply.statusCode ?? 502, Object.fromEntries(passed));
      reply.on('error', () => answer.destroy()).pipe(answer);
    } catch (err) {
      const [status, why] = this.#why(err);
      if (answer.headersSent) answer.destroy();
      else answer.writeHead(Number(status.slice(0, 3)), { 'content-type': 'text/plain' }).end(`${why}\n`);
    }
  }

  #bound(socket: Socket): void {
    this.#open.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#open.delete(socket));
  }

  #why(err: unknown): [string, string] {
    if (!(err instanceof Refusal)) return ['502 Bad Gateway', `the host cannot be reached: ${errorMessage(err)}`];
    this.#refuse(err.message);
    return ['403 Forbidden', `refused: ${err.message}`];
  }

  #refuse(why: string): void {
    if (this.refusals.length < MAX_REFUSALS && !this.refusals.includes(why)) this.refusals.push(why);
  }
}

/** In both directions together. */
const through = (socket: Socket): number => socket.bytesRead + socket.bytesWritten;

const shown = (text: string): string => JSON.stringify(text.slice(0, 200));

const connected = (socket: Socket): Promise<void> =>
  new Promise((resolve, reject) => {
    const late = setTimeout(() => socket.destroy(new Error('it does not answer')), CONNECT_MS);
    socket.once('connect', () => {
      clearTimeout(late);
      resolve();
    });
    socket.once('error', reject).once('close', () => {
      clearTimeout(late);
      reject(new Error('the connection was closed'));
    });
  });
