import { type LiveCommand, commandKey } from '../../shared/live-commands.ts';
import { cutTo, oneLine } from '../text.ts';
import { type Page, excerpt, keptLines } from './markdown.ts';

/** How many lines of one command are printed at a time; the end of what it printed is in the turn. */
const LINES = 20;

interface Seen {
  /** How many characters of its output were looked at. */
  end: number;
  /** The beginning of a line whose end may still come. */
  begun: string;
}

/** What commands print while they run, each line once. */
export class LiveLines {
  #seen = new Map<string, Seen>();
  #last = '';

  /** What is new since the last time, of all that run now. */
  next(commands: readonly LiveCommand[], page: Page): string[] {
    const before = this.#seen;
    this.#seen = new Map();
    return commands.flatMap((command) => {
      const key = commandKey(command);
      const known = before.get(key);
      const { lines, seen } = newLines(command, known ?? { end: 0, begun: '' });
      this.#seen.set(key, seen);
      if (known !== undefined && lines.length === 0) return [];
      const head = this.#last === key ? [] : headOf(command, page);
      this.#last = key;
      const inner = { ...page, columns: page.columns - 6 };
      const body = lines.length === 0 ? [] : keptLines(lines.join('\n'), inner, page.colors.dim);
      return [...head, ...excerpt(body, LINES, page, 'end').map((line) => `    ${page.colors.dim('│')} ${line}`)];
    });
  }
}

function headOf({ phase, persona, tool, command, startedAt }: LiveCommand, page: Page): string[] {
  const tail = `  running since ${startedAt.slice(11, 19)}`;
  const head = `${oneLine(phase)}: ${oneLine(persona)} runs`;
  const about = cutTo(`  $ ${tool}   ${oneLine(command)}`, Math.max(10, page.columns - tail.length));
  return ['', page.colors.cyan(head), `${page.colors.bold(about)}${page.colors.yellow(tail)}`];
}

/** The lines that ended since; one that does not end is given when nothing more came of it between two looks. */
function newLines({ text, end }: LiveCommand, { end: from, begun }: Seen): { lines: string[]; seen: Seen } {
  const fresh = end === from ? '' : text.slice(Math.max(0, text.length - (end - from)));
  if (fresh === '') return { lines: begun === '' ? [] : [begun], seen: { end, begun: '' } };
  const missed = end - from - text.length;
  const before = begun === '' ? '' : `${begun}\n`;
  const whole = missed > 0 ? `${before}[${missed} characters went by]\n${fresh}` : `${begun}${fresh}`;
  const lines = whole.split('\n');
  const rest = lines.pop() ?? '';
  return { lines: lines.map(overwritten), seen: { end, begun: overwritten(rest) } };
}

/** What stands in a line in the end, when a progress bar was drawn over itself in it. */
const overwritten = (line: string): string => line.replace(/\r+$/, '').split('\r').at(-1) ?? '';
