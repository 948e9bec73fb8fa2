import { StringDecoder } from 'node:string_decoder';
import { z } from 'zod';

/** How often a running program tells what it prints, in milliseconds, and how many bytes of each stream at most. */
const EVERY_MS = 500;
const MOST_BYTES = 8 * 1024;

const Stream = z.enum(['stdout', 'stderr']);
type Stream = z.infer<typeof Stream>;

/** What a program printed since it told last: of each stream the end, and how many bytes before it are left out. */
export const OutputProgress = z.strictObject({
  pieces: z.array(z.strictObject({ stream: Stream, text: z.string(), leftOut: z.number() })),
  /** What it has printed so far, of both streams together. */
  bytes: z.number(),
});
export type OutputProgress = z.infer<typeof OutputProgress>;
export type ProgressListener = (progress: OutputProgress) => void;

/** Tells what a program prints while it runs, in pieces that stay few and small however much that is. */
export class ProgressTeller {
  readonly #listener: ProgressListener;
  readonly #streams = new Map<Stream, RecentBytes>();
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #toldAt = -EVERY_MS;

  constructor(listener: ProgressListener) {
    this.#listener = listener;
  }

  add(stream: Stream, chunk: Buffer): void {
    this.#bytes += chunk.length;
    const recent = this.#streams.get(stream) ?? new RecentBytes();
    this.#streams.set(stream, recent);
    recent.add(chunk);
    this.#timer ??= setTimeout(() => this.#tell(), Math.max(0, this.#toldAt + EVERY_MS - performance.now()));
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #tell(): void {
    this.#timer = undefined;
    this.#toldAt = performance.now();
    const pieces = [...this.#streams].flatMap(([stream, recent]) => {
      const piece = recent.take();
      return piece.text === '' && piece.leftOut === 0 ? [] : [{ stream, ...piece }];
    });
    this.#listener({ pieces, bytes: this.#bytes });
  }
}

/** The last bytes of a stream since somebody took them. */
class RecentBytes {
  #decoder = new StringDecoder('utf8');
  #chunks: Buffer[] = [];
  #held = 0;
  #leftOut = 0;

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    for (let first = this.#chunks[0]; first !== undefined && this.#held - first.length >= MOST_BYTES;) {
      this.#leftOut += first.length;
      this.#held -= first.length;
      this.#chunks.shift();
      first = this.#chunks[0];
    }
  }

  take(): { text: string; leftOut: number } {
    const all = Buffer.concat(this.#chunks);
    const leftOut = this.#leftOut + Math.max(0, all.length - MOST_BYTES);
    [this.#chunks, this.#held, this.#leftOut] = [[], 0, 0];
    if (leftOut === 0) return { text: this.#decoder.write(all), leftOut };
    // The cut may lie within a character.
    this.#decoder = new StringDecoder('utf8');
    return { text: this.#decoder.write(all.subarray(-MOST_BYTES)).replace(/^\uFFFD+/, ''), leftOut };
  }
}
