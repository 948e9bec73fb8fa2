import picocolors from 'picocolors';

/** Where a command writes. Results go to `out`; progress, notes and errors to `err`. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  /** True when stderr is a terminal that can be redrawn. */
  isLive: boolean;
  colors: ReturnType<typeof picocolors.createColors>;
  columns: number;
}

/** The terminal of this process. Colours only on a terminal, and never with NO_COLOR. */
export function processTerminal(env: NodeJS.ProcessEnv): Terminal {
  const isTerminal = process.stderr.isTTY && env['TERM'] !== 'dumb' && env['CI'] === undefined;
  return {
    out: (text) => void process.stdout.write(`${text}\n`),
    err: (text) => void process.stderr.write(`${text}\n`),
    isLive: isTerminal,
    colors: picocolors.createColors(process.stderr.isTTY && !env['NO_COLOR']),
    columns: process.stderr.columns ?? 100,
  };
}
