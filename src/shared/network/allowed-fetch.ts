import { type IncomingMessage, request as plainRequest } from 'node:http';
import { request as secureRequest } from 'node:https';
import { isIP } from 'node:net';
import { FleetError } from '../errors.ts';
import type { Egress } from './allow-list.ts';
import { allowedAddress } from './allowed-address.ts';

const IDLE_MS = 120_000;

/** The place that a URL leads to. */
export function placeOf(url: URL): { host: string; port: number } {
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
  return { host: url.hostname.replaceAll(/^\[|\]$/g, ''), port };
}

/**
 * `fetch` that reaches the listed places alone: the address that was checked is the one connected to, redirects are
 * answers like any other, and nothing of this process (cookies, credentials) goes along.
 */
export function allowedFetch(
  egress: Egress,
  maxBytes: number,
): (url: string | URL, init?: RequestInit) => Promise<Response> {
  return async (target, init = {}) => {
    const url = new URL(target);
    const { host, port } = placeOf(url);
    const address = await allowedAddress(egress, host, port);
    const isSecure = url.protocol === 'https:';
    const headers = Object.fromEntries(new Headers(init.headers));
    const body = init.body ?? undefined;
    if (body !== undefined && typeof body !== 'string') throw new FleetError('INTERNAL', 'only text is sent here');
    const outgoing = (isSecure ? secureRequest : plainRequest)({
      host: address,
      port,
      path: `${url.pathname}${url.search}`,
      method: init.method ?? 'GET',
      headers: { ...headers, host: url.host },
      agent: false,
      ...(isSecure && isIP(host) === 0 ? { servername: host } : {}),
      ...(init.signal ? { signal: init.signal } : {}),
    });
    outgoing.setTimeout(IDLE_MS, () => outgoing.destroy(new Error(`${host} says nothing`)));
    const reply = await new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve).once('error', reject).end(body);
    });
    return new Response(bodyOf(reply, maxBytes), {
      status: reply.statusCode ?? 502,
      headers: Object.entries(reply.headers).flatMap(([name, value]): [string, string][] =>
        value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
      ),
    });
  };
}

/** Statuses whose answers have no body, which `Response` insists on. */
const BODILESS = [101, 204, 205, 304];

function bodyOf(reply: IncomingMessage, maxBytes: number): ReadableStream | null {
  if (BODILESS.includes(reply.statusCode ?? 0)) {
    reply.resume();
    return null;
  }
  let seen = 0;
  return new ReadableStream({
    async start(controller) {
      try {
        for await (const chunk of reply) {
          const bytes = Buffer.from(chunk);
          seen += bytes.length;
          if (seen > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`);
          controller.enqueue(new Uint8Array(bytes));
        }
        controller.close();
      } catch (err) {
        controller.error(err);
        reply.destroy();
      }
    },
    cancel: () => void reply.destroy(),
  });
}
