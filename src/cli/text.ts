import { visible } from '../gates/reports/phase-report.ts';

/** Characters that take two columns. Where a terminal draws one narrower, a line is cut early, and never wraps. */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;
const charWidth = (character: string): number => (WIDE.test(character) ? 2 : 1);
function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += charWidth(character);
  return width;
}

/** Text that a model or a tool wrote, on one line: its control characters are shown, never obeyed. */
export const oneLine = (text: string): string => visible(text).replaceAll(/\s+/g, ' ').trim();

/** At most so many columns; what was cut ends in `…`. */
export function cutTo(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  let width = 1;
  let cut = '';
  for (const character of text) {
    width += charWidth(character);
    if (width > columns) break;
    cut += character;
  }
  return columns < 1 ? '' : `${cut}…`;
}

/** Breaks text between words into lines of at most so many columns; a longer word is broken where the line ends. */
export function wrapTo(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (widthOf(longer) <= columns) {
      line = longer;
      continue;
    }
    if (line !== '') lines.push(line);
    line = '';
    for (const character of word) {
      if (widthOf(line + character) > columns) {
        lines.push(line);
        line = '';
      }
      line += character;
    }
  }
  return [...lines, line];
}

/** `1 finding`, `2 findings`, `2 processes`. */
export const count = (number: number, noun: string): string =>
  `${number} ${noun}${number === 1 ? '' : noun.endsWith('s') ? 'es' : 's'}`;
