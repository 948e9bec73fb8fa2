import { type ClientRequest, type IncomingMessage, type RequestOptions, request as overHttp } from 'node:http';
import { request as overHttps } from 'node:https';
import { Webhook as Signer } from 'standardwebhooks';
import { FleetError, errorMessage } from '../../shared/errors.ts';
import { timeLimit } from '../../shared/time-limit.ts';
import { type AddressPolicy, type Resolve, checkedAddress } from './webhook-address.ts';

/** How much of an answer is read before the connection is closed; its status is all that counts. */
const MOST_ANSWER_BYTES = 64 * 1024;

export interface SignedPost {
  url: string;
  secret: string;
  /** The same however often this is sent. */
  id: string;
  body: string;
  policy: AddressPolicy;
  timeoutMs: number;
  signal: AbortSignal;
  resolve?: Resolve;
}

export interface PostAnswer {
  status: number;
  /** How long the receiver asks to be left alone. */
  retryAfterMs: number;
}

/** Posts a signed body once, to an address that was checked. Follows no redirect. */
export async function postSigned(post: SignedPost): Promise<PostAnswer> {
  const { id, body, secret, timeoutMs } = post;
  const url = new URL(post.url);
  const { address, family } = await checkedAddress(url, post.policy, post.resolve);
  const now = new Date();
  const limit = timeLimit(timeoutMs, post.signal);
  const options: RequestOptions = {
    method: 'POST',
    // A connection that is used again might be one to another address.
    agent: false,
    signal: limit.signal,
    lookup: (_host, { all }, callback) => {
      if (all === true) callback(null, [{ address, family }]);
      else callback(null, address, family);
    },
    headers: {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'user-agent': 'maestro-fleet',
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(now.getTime() / 1_000)),
      'webhook-signature': new Signer(secret).sign(id, now, body),
    },
  };
  const request = url.protocol === 'https:' ? overHttps(url, options) : overHttp(url, options);
  try {
    return await answerOf(request, body);
  } catch (err) {
    const why = limit.isOver() ? `no answer within ${timeoutMs} ms` : errorMessage(err);
    throw new FleetError('API_UNAVAILABLE', `${url.host} could not be told: ${why}`, { cause: err, retry: true });
  } finally {
    limit.end();
  }
}

async function answerOf(request: ClientRequest, body: string): Promise<PostAnswer> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request.on('response', resolve).on('error', reject).end(body);
  });
  let bytes = 0;
  for await (const chunk of response) {
    bytes += Buffer.isBuffer(chunk) ? chunk.length : 0;
    if (bytes > MOST_ANSWER_BYTES) break;
  }
  return { status: response.statusCode ?? 0, retryAfterMs: retryAfterMs(response.headers['retry-after']) };
}

/** Seconds, or a date; 0 for anything else. */
function retryAfterMs(header = ''): number {
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1_000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? 0 : Math.max(0, at - Date.now());
}
