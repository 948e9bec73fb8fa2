import { nearestHint } from '../shared/yaml-file.ts';

/** A mistake in a condition, at an offset in its text. */
export interface ConditionProblem {
  offset: number;
  message: string;
}

/** A condition in CEL, with the offset in the original text for every character of it. */
export interface Translation {
  cel: string;
  offsets: readonly number[];
  problems: readonly ConditionProblem[];
}

/** Prefix of metrics in CEL, so that no metric can be mistaken for a reserved word or a type of that language. */
export const METRIC_PREFIX = 'm_';
const MAX_LENGTH = 500;
const MAX_NESTING = 20;

const TOKEN =
  /\s*(?:(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|([A-Za-z_][A-Za-z0-9_]*)|(==|!=|<=|>=|&&|\|\||[<>+\-*/%()[\],!])|(\S))/y;
const REFUSED: Readonly<Record<string, string>> = {
  '.': 'fields are not available in a condition; name a metric',
  '"': 'text is not available in a condition; metrics are numbers',
  "'": 'text is not available in a condition; metrics are numbers',
  '{': 'maps are not available in a condition',
  '?': 'there is no ?: in a condition; use AND, OR and NOT',
  '=': 'use == to compare',
  '&': 'use AND',
  '|': 'use OR',
};
const LOWER_CASE_WORDS: Readonly<Record<string, string>> = { and: 'AND', or: 'OR', not: 'NOT', IN: 'in' };

/**
 * Translates `A >= 0.8 AND NOT (B == 0)` to CEL.
 * Only numbers, metrics, comparisons, arithmetic, AND, OR, NOT, `in [..]` and parentheses exist: everything else of CEL
 * (functions, macros, indexes, fields, text) is refused here, so none of its traps can be written.
 */
export function translate(text: string, metrics: ReadonlySet<string>): Translation {
  if (text.trim() === '') return refused(0, 'the condition is empty');
  if (text.length > MAX_LENGTH) {
    return refused(MAX_LENGTH, `the condition has ${text.length} characters, at most ${MAX_LENGTH} are allowed`);
  }
  return new Translator(text, metrics).run();
}

const refused = (offset: number, message: string): Translation => ({
  cel: '',
  offsets: [],
  problems: [{ offset, message }],
});

class Translator {
  private readonly problems: ConditionProblem[] = [];
  private readonly offsets: number[] = [];
  /** Nesting depths at which a NOT was opened and still waits for the end of its comparison. */
  private readonly openNots: number[] = [];
  private cel = '';
  private depth = 0;
  private previous = '';
  private readonly text: string;
  private readonly metrics: ReadonlySet<string>;

  constructor(text: string, metrics: ReadonlySet<string>) {
    this.text = text;
    this.metrics = metrics;
  }

  run(): Translation {
    const end = this.text.trimEnd().length;
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < end) {
      const match = TOKEN.exec(this.text);
      if (!match) break;
      const [whole, number, word, symbol, other] = match;
      const offset = match.index + whole.length - whole.trimStart().length;
      if (number !== undefined) this.number(number, offset);
      else if (word !== undefined) this.word(word, offset);
      else if (symbol !== undefined) this.symbol(symbol, offset);
      else if (other !== undefined) this.problem(offset, REFUSED[other] ?? `unexpected "${other}"`);
      this.previous = number ?? word ?? symbol ?? other ?? '';
    }
    this.closeNots(0, end);
    return { cel: this.cel, offsets: [...this.offsets, end], problems: this.problems };
  }

  private problem(offset: number, message: string): void {
    this.problems.push({ offset, message });
  }

  private emit(cel: string, offset: number, width: number): void {
    const piece = `${cel} `;
    for (let index = 0; index < piece.length; index += 1) this.offsets.push(offset + Math.min(index, width));
    this.cel += piece;
  }

  /** Whole numbers become doubles: CEL would read them as integers, which never equal a double. */
  private number(number: string, offset: number): void {
    if (!Number.isFinite(Number(number))) this.problem(offset, `${number} is too large`);
    this.emit(/[.eE]/.test(number) ? number : `${number}.0`, offset, number.length);
  }

  private word(word: string, offset: number): void {
    if (word === 'AND' || word === 'OR') {
      this.closeNots(this.depth, offset);
      this.emit(word === 'AND' ? '&&' : '||', offset, word.length);
    } else if (word === 'NOT') this.openNot(offset, word.length);
    else if (word === 'in') this.emit('in', offset, word.length);
    else if (/^\s*\(/.test(this.text.slice(offset + word.length)) && !this.metrics.has(word)) {
      this.problem(offset, `functions are not available in a condition: ${word}(...)`);
    } else if (this.metrics.has(word)) this.emit(`${METRIC_PREFIX}${word}`, offset, word.length);
    else {
      const spelling = LOWER_CASE_WORDS[word];
      const hint = spelling ? ` (write ${spelling})` : nearestHint(word, [...this.metrics]);
      this.problem(offset, `"${word}" is not a declared metric${hint}`);
    }
  }

  private symbol(symbol: string, offset: number): void {
    if (symbol === '!') return this.openNot(offset, 1);
    if (symbol === '(' || symbol === '[') {
      if (symbol === '[' && this.previous !== 'in') this.problem(offset, 'a list only stands after `in`');
      this.depth += 1;
      if (this.depth > MAX_NESTING) this.problem(offset, `nested deeper than ${MAX_NESTING} levels`);
    }
    if (symbol === ')' || symbol === ']') {
      this.closeNots(this.depth, offset);
      this.depth -= 1;
    }
    if (symbol === '&&' || symbol === '||') this.closeNots(this.depth, offset);
    this.emit(symbol, offset, symbol.length);
  }

  /** NOT takes the whole comparison after it, up to the next AND, OR or closing parenthesis. */
  private openNot(offset: number, width: number): void {
    this.openNots.push(this.depth);
    this.emit('!(', offset, width);
  }

  private closeNots(depth: number, offset: number): void {
    while ((this.openNots.at(-1) ?? -1) >= depth) {
      this.openNots.pop();
      this.emit(')', offset, 0);
    }
  }
}
