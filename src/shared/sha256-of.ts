import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';

/** Some five milliseconds of hashing on a slow machine. */
const PIECE_BYTES = 1024 ** 2;

/** The sha256 of bytes, in hex. A large one is hashed in pieces, between which the event loop goes on. */
export async function sha256Of(bytes: Uint8Array): Promise<string> {
  const hash = createHash('sha256');
  for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
    if (from > 0) await turn();
    hash.update(bytes.subarray(from, from + PIECE_BYTES));
  }
  return hash.digest('hex');
}
