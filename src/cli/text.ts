import { charWidth, widthOf } from '../gates/reports/columns.ts';
import { visible } from '../gates/reports/phase-report.ts';

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

/** `1 finding`, `2 findings`, `2 processes`. */
export const count = (number: number, noun: string): string =>
  `${number} ${noun}${number === 1 ? '' : noun.endsWith('s') ? 'es' : 's'}`;
