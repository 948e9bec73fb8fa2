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
}

/** The terminal of this process. Colours only on a terminal, and never with NO_COLOR. */
export function processTerminal(env: NodeJS.ProcessEnv): Terminal {
  // Whoever reads our output may have seen enough, as `head` does: that is no fault.
  process.stdout.on('error', (err: NodeJS.ErrnoException) => {
    if (err.code === 'EPIPE') process.exit();
    throw err;
  });
  const isDumb = env['TERM'] === 'dumb';
  const colorsFor = (isTerminal: boolean | undefined): Colors =>
    picocolors.createColors(isTerminal === true && !isDumb && !env['NO_COLOR']);
  return {
    out: (text) => void process.stdout.write(`${text}\n`),
    err: (text) => void process.stderr.write(`${text}\n`),
    isLive: process.stderr.isTTY && !isDumb && env['CI'] === undefined,
    colors: colorsFor(process.stderr.isTTY),
    outColors: colorsFor(process.stdout.isTTY),
    columns: () => process.stderr.columns ?? 100,
  };
}
