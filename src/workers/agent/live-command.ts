import { errorMessage } from '../../shared/errors.ts';
import { LIVE_CHARS, LIVE_TTL_MS, type LiveCommand } from '../../shared/live-commands.ts';
import type { Logger } from '../../shared/logger.ts';
import { revealHidden } from '../../shared/marked-text.ts';
import type { OutputProgress, ProgressListener } from '../../shared/output-progress.ts';
import { PiecewiseRedactor, redactor } from '../models/redact.ts';
import { capText } from './data-block.ts';

/** A command that ends sooner is in the conversation before anybody could look. */
const SHOWN_AFTER_MS = 300;
/** A command that prints nothing is said to be running so often. */
const BEAT_MS = LIVE_TTL_MS / 3;
const COMMAND_CHARS = 2_000;

type Shown = Omit<LiveCommand, 'phase' | 'persona' | 'kind' | 'round' | 'simulated' | 'replayed'>;

/** Where commands are shown while they run. Neither of these may hold up a command, or fail it. */
interface LiveBoard {
  /** Keys that nobody may be shown. */
  keys: readonly string[];
  /** Shows a command as it is now; false when that is no longer this worker's to do. */
  put: (command: Shown) => Promise<boolean>;
  drop: () => Promise<boolean>;
  logger: Logger;
}

export interface LiveCommands {
  begin(of: Pick<Shown, 'toolUseId' | 'tool' | 'command'>): { hear: ProgressListener; end: () => void };
}

export const liveCommands = (board: LiveBoard): LiveCommands => ({
  begin: (of) => {
    const writer = new LiveWriter(board, of);
    return { hear: (progress) => writer.hear(progress), end: () => writer.end() };
  },
});

/** Writes of one command: one at a time, each with the latest. What cannot be written is not shown, and nothing more. */
class LiveWriter {
  readonly #board: LiveBoard;
  readonly #of: Omit<Shown, 'bytes' | 'text' | 'end'>;
  readonly #output: LiveText;
  readonly #first: NodeJS.Timeout;
  #beat: NodeJS.Timeout | undefined;
  #isWriting = false;
  #isNews = false;
  #isOver = false;
  #hasFailed = false;

  constructor(board: LiveBoard, { toolUseId, tool, command }: Pick<Shown, 'toolUseId' | 'tool' | 'command'>) {
    this.#board = board;
    this.#output = new LiveText(board.keys);
    const shown = capText(revealHidden(redactor(board.keys)(command)), COMMAND_CHARS);
    this.#of = { toolUseId, tool, command: shown, startedAt: new Date().toISOString() };
    this.#first = setTimeout(() => {
      this.#beat = setInterval(() => this.#write(), BEAT_MS);
      this.#write();
    }, SHOWN_AFTER_MS);
  }

  hear(progress: OutputProgress): void {
    this.#output.add(progress);
    if (this.#beat !== undefined) this.#write();
  }

  end(): void {
    this.#isOver = true;
    clearTimeout(this.#first);
    if (this.#beat === undefined) return;
    clearInterval(this.#beat);
    // Behind a write that is under way, on the same connection.
    this.#board.drop().catch((err: unknown) => this.#failed(err));
  }

  #write(): void {
    this.#isNews = true;
    if (this.#isWriting || this.#isOver) return;
    this.#isWriting = true;
    this.#isNews = false;
    const { bytes, text, end } = this.#output;
    this.#board
      .put({ ...this.#of, bytes, text, end })
      .then((isOurs) => (this.#isOver ||= !isOurs))
      .catch((err: unknown) => this.#failed(err))
      .finally(() => {
        this.#isWriting = false;
        if (this.#isNews) this.#write();
      });
  }

  #failed(err: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    const reason = errorMessage(err);
    this.#board.logger.warn({ reason }, 'what a command prints cannot be shown while it runs; the command goes on');
  }
}

/** The end of what a command has printed, as it may be shown. */
class LiveText {
  readonly #keys: readonly string[];
  readonly #redactors = new Map<string, PiecewiseRedactor>();
  bytes = 0;
  text = '';
  end = 0;

  constructor(keys: readonly string[]) {
    this.#keys = keys;
  }

  add({ pieces, bytes }: OutputProgress): void {
    this.bytes = bytes;
    for (const { stream, text, leftOut } of pieces) {
      const redacted = this.#redactors.get(stream) ?? new PiecewiseRedactor(this.#keys);
      this.#redactors.set(stream, redacted);
      if (leftOut > 0) this.#append(`\n[${leftOut} bytes are not shown here]\n${redacted.afterGap(text)}`);
      else this.#append(redacted.next(text));
    }
  }

  #append(text: string): void {
    const shown = revealHidden(text);
    this.end += shown.length;
    // A character of two halves is not cut in two.
    this.text = `${this.text}${shown}`.slice(-LIVE_CHARS).replace(/^[\uDC00-\uDFFF]/, '');
  }
}
