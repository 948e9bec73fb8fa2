import { widthOf } from '../gates/reports/columns.ts';

/** A column of a table: its heading, and on which side its cells end. */
export interface Column {
  title: string;
  align?: 'right';
}

/** Rows in columns that line up, two spaces apart; what a cell is painted with does not move the next one. */
export function inColumns(
  columns: readonly Column[],
  rows: readonly (readonly { text: string; paint?: ((text: string) => string) | undefined }[])[],
  paintTitle: (text: string) => string,
): string[] {
  const widths = columns.map(({ title }, index) =>
    Math.max(widthOf(title), ...rows.map((row) => widthOf(row[index]?.text ?? ''))),
  );
  const line = (cells: readonly { text: string; paint?: ((text: string) => string) | undefined }[]): string =>
    columns
      .map(({ align }, index) => {
        const { text = '', paint = (same: string): string => same } = cells[index] ?? {};
        const space = ' '.repeat((widths[index] ?? 0) - widthOf(text));
        if (align === 'right') return `${space}${paint(text)}`;
        return index === columns.length - 1 ? paint(text) : `${paint(text)}${space}`;
      })
      .join('  ')
      .trimEnd();
  return [line(columns.map(({ title }) => ({ text: title, paint: paintTitle }))), ...rows.map(line)];
}
