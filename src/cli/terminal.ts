import picocolors from 'picocolors';

type Colors = ReturnType<typeof picocolors.createColors>;

/** Where a command writes. Results go to `out`; progress, notes and errors to `err`. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  /** True when stderr is a terminal that can be redrawn. */
  isLive: boolean;
  /** For `err`. */
  colors: Colors;
  /** For `out`, which may lead into a file while `err` is a terminal. */
  outColors: Colors;
  /** The width of the terminal as it is now. */
  columns(): number;
  /** The same for `out`; nothing where it is no terminal. */
  outColumns(): number | undefined;
  /** Aborted when nobody reads `out` any more. */
  outClosed: AbortSignal;
}

/** The terminal of this process. Colours only on a terminal, and never with NO_COLOR. */
export function processTerminal(env: NodeJS.ProcessEnv): Terminal {
  const [outClosed, errClosed] = [closedSignal(process.stdout), closedSignal(process.stderr)];
  const isDumb = env['TERM'] === 'dumb';
  const colorsFor = (isTerminal: boolean | undefined): Colors =>
    picocolors.createColors(isTerminal === true && !isDumb && !env['NO_COLOR']);
  return {
    out: (text) => void (outClosed.aborted || process.stdout.write(`${text}\n`)),
    err: (text) => void (errClosed.aborted || process.stderr.write(`${text}\n`)),
    isLive: process.stderr.isTTY && !isDumb && env['CI'] === undefined,
    colors: colorsFor(process.stderr.isTTY),
    outColors: colorsFor(process.stdout.isTTY),
    columns: () => process.stderr.columns ?? 100,
    outColumns: () => (process.stdout.isTTY ? process.stdout.columns : undefined),
    outClosed,
  };
}

/**
 * Whoever reads our output may have seen enough, as `head` does: that is no fault, and no result either.
 * What is written afterwards is swallowed, and the command ends with the code that it would have ended with.
 */
function closedSignal(stream: NodeJS.WriteStream): AbortSignal {
  const closed = new AbortController();
  stream.on('error', (err: NodeJS.ErrnoException) => {
    if (err.code !== 'EPIPE') throw err;
    closed.abort();
  });
  return closed.signal;
}
