import { charWidth, widthOf, wrapTo } from '../../gates/reports/columns.ts';
import { visible } from '../../gates/reports/phase-report.ts';
import type { Terminal } from '../terminal.ts';
import { cutTo } from '../text.ts';

export interface Page {
  colors: Terminal['colors'];
  /** How wide a line may be. */
  columns: number;
  /** Show every text in full. */
  isFull: boolean;
}

/** Control characters are shown and never obeyed; a tab takes two columns. */
export const plain = (text: string): string => visible(text.replaceAll('\t', '  '));

type Paint = (text: string) => string;
const same: Paint = (text) => text;

/**
 * The text without the marks for code and for bold, and how each of its characters is painted. Stars within a word are
 * left alone: there they belong to a glob such as `src/**`.
 */
function inline(text: string, colors: Terminal['colors']): { text: string; paints: Paint[] } {
  let out = '';
  const paints: Paint[] = [];
  for (const [, code, bold, other = ''] of text.matchAll(/`([^`]+)`|(?<![^\s(["'])\*\*([^*]+)\*\*|([^])/g)) {
    const piece = code ?? bold ?? other;
    const paint = code !== undefined ? colors.cyan : bold !== undefined ? colors.bold : same;
    out += piece;
    for (let index = 0; index < piece.length; index += 1) paints.push(paint);
  }
  return { text: out, paints };
}

/** Prose in lines of at most so many columns, each painted by itself, so that no colour runs into the next line. */
function wrapInline(text: string, columns: number, colors: Terminal['colors']): string[] {
  const marked = inline(text, colors);
  let at = 0;
  return wrapTo(marked.text, Math.max(1, columns)).map((line) => {
    // Where a line ends, the space between its words is gone.
    while (marked.text[at] === ' ' && line[0] !== ' ') at += 1;
    let painted = '';
    for (let index = 0; index < line.length;) {
      const paint = marked.paints[at + index] ?? same;
      let end = index + 1;
      while (end < line.length && marked.paints[at + end] === paint) end += 1;
      painted += paint(line.slice(index, end));
      index = end;
    }
    at += line.length;
    return painted;
  });
}

/** Lines that keep their form: each is cut at the width, or broken where nothing may be left out. */
export function keptLines(text: string, page: Page, paint: Paint = same): string[] {
  return plain(text)
    .split('\n')
    .flatMap((line) => (page.isFull ? broken(line, page.columns) : [cutTo(line, page.columns)]))
    .map((line) => (line === '' ? '' : paint(line)));
}

function broken(line: string, columns: number): string[] {
  if (widthOf(line) <= columns) return [line];
  const lines: string[] = [];
  let part = '';
  let width = 0;
  for (const character of line) {
    const wide = charWidth(character);
    if (width + wide > columns) {
      lines.push(part);
      [part, width] = ['', 0];
    }
    part += character;
    width += wide;
  }
  return [...lines, part];
}

/** Prose of a model, lightly set: headings, lists, code and tables are told apart, and nothing is left out. */
export function markdownLines(text: string, page: Page): string[] {
  const { colors, columns } = page;
  const lines: string[] = [];
  let fence: string | undefined;
  for (const line of plain(text).trim().split('\n')) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (mark !== undefined && (fence === undefined || mark.startsWith(fence))) {
      fence = fence === undefined ? mark : undefined;
      continue;
    }
    const heading = /^ {0,3}#{1,6} +(.*?)#*$/.exec(line)?.[1];
    const [, indent = '', bullet, item = ''] = /^( *)([-*+]|\d+[.)]) +(.*)$/.exec(line) ?? [];
    if (fence !== undefined)
      lines.push(...keptLines(line, { ...page, columns: columns - 2 }, colors.cyan).map((code) => `  ${code}`));
    else if (/^ *\|.*\| *$/.test(line)) lines.push(...keptLines(line, page));
    else if (heading !== undefined)
      lines.push(...wrapInline(heading.trim(), columns, colors).map((part) => colors.bold(part)));
    else if (bullet !== undefined) {
      const sign = /\d/.test(bullet) ? bullet : '•';
      const hang = indent.length + sign.length + 1;
      const wrapped = wrapInline(item, columns - hang, colors);
      lines.push(...wrapped.map((part, index) => `${index === 0 ? `${indent}${sign} ` : ' '.repeat(hang)}${part}`));
    } else lines.push(...wrapInline(line, columns, colors));
  }
  return lines;
}

/** The first lines, or the last ones, and how many more there are. */
export function excerpt(lines: readonly string[], most: number, page: Page, from: 'start' | 'end' = 'start'): string[] {
  const left = lines.length - most;
  // A note that stands for one line would take the line itself.
  if (page.isFull || left <= 1) return [...lines];
  const note = page.colors.dim(`… ${left} more lines (--full)`);
  return from === 'start' ? [...lines.slice(0, most), note] : [note, ...lines.slice(-most)];
}
