import type { IncomingMessage } from 'node:http';
import { FleetError } from '../shared/errors.ts';

export const MOST_UPLOAD_BYTES = 16 * 1024 * 1024;
/** How many bodies one process reads at once, and how many of those of one sender: each is held in memory. */
const MOST_AT_ONCE = 8;
const MOST_OF_ONE_SENDER = 4;
/** How long a sender may send nothing. */
const SILENT_MS = 15_000;

const tooLarge = (): FleetError =>
  new FleetError('TOO_LARGE', `an upload may have at most ${MOST_UPLOAD_BYTES} bytes`, { remedy: 'Send less.' });

const tooMany = (detail: string): FleetError =>
  new FleetError('RATE_LIMITED', detail, { remedy: 'Send it again in a moment.' });

/** Reads the bodies of uploads in this process: not too many at once, none too large, and none that stands still. */
export class UploadBodies {
  readonly #silentMs: number;
  /** How many are being read, by sender. */
  readonly #under = new Map<string, number>();

  constructor(silentMs = SILENT_MS) {
    this.#silentMs = silentMs;
  }

  /** Throws `RATE_LIMITED`, `TOO_LARGE`, or `BAD_INPUT` with the status 408 when nothing more comes. */
  async read(req: IncomingMessage, sender: string): Promise<Buffer> {
    const mine = this.#under.get(sender) ?? 0;
    const all = [...this.#under.values()].reduce((sum, count) => sum + count, 0);
    if (mine >= MOST_OF_ONE_SENDER) throw tooMany(`${mine} uploads of this token are being read already`);
    if (all >= MOST_AT_ONCE) throw tooMany(`${all} uploads are being read already`);
    this.#under.set(sender, mine + 1);
    try {
      return await this.#read(req);
    } finally {
      const left = (this.#under.get(sender) ?? 1) - 1;
      if (left === 0) this.#under.delete(sender);
      else this.#under.set(sender, left);
    }
  }

  /** Never holds more than is allowed, whatever the request says of its length. */
  async #read(req: IncomingMessage): Promise<Buffer> {
    if (Number(req.headers['content-length'] ?? 0) > MOST_UPLOAD_BYTES) throw tooLarge();
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of this.#chunks(req)) {
      bytes += chunk.byteLength;
      // What is a little too large is read to its end and thrown away: to break off would lose the answer that says so.
      if (bytes > 2 * MOST_UPLOAD_BYTES) throw tooLarge();
      if (bytes > MOST_UPLOAD_BYTES) chunks.length = 0;
      else chunks.push(chunk);
    }
    if (bytes > MOST_UPLOAD_BYTES) throw tooLarge();
    return Buffer.concat(chunks);
  }

  /** The request itself is left as it is, since it still has to be answered. */
  async *#chunks(req: IncomingMessage): AsyncGenerator<Uint8Array> {
    const stream: AsyncIterable<Uint8Array> = req.iterator({ destroyOnReturn: false });
    const chunks = stream[Symbol.asyncIterator]();
    for (;;) {
      const next = await withinMs(chunks.next(), this.#silentMs);
      if (next.done === true) return;
      yield next.value;
    }
  }
}

async function withinMs<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const silent = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      const detail = `nothing more of the upload came for ${ms / 1000} s`;
      reject(new FleetError('BAD_INPUT', detail, { remedy: 'Send it again.', details: { status: 408 } }));
    }, ms);
  });
  try {
    return await Promise.race([promise, silent]);
  } finally {
    clearTimeout(timer);
  }
}
