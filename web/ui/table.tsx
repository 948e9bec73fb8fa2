import type { ComponentChildren, JSX } from 'preact';

export interface Column {
  name: string;
  /** Numbers stand to the right, so that their digits do. */
  kind?: 'number';
}
export interface Row {
  key: string;
  cells: readonly ComponentChildren[];
  kind?: string;
}

const columnOf = (column: string | Column): Column => (typeof column === 'string' ? { name: column } : column);

const isEmpty = (cell: ComponentChildren): boolean => cell === '' || cell === null || cell === undefined;

/** A table that scrolls by itself when it is wide; on a narrow screen a row is a card whose cells say what they are. */
export function Table(props: {
  caption: string;
  columns: readonly (string | Column)[];
  rows: readonly Row[];
  hideCaption?: boolean;
  /** Columns that say nothing in any row are left out. */
  dropEmpty?: boolean;
}): JSX.Element {
  const rows = props.rows;
  const isShown = (index: number): boolean =>
    props.dropEmpty !== true || rows.some(({ cells }) => !isEmpty(cells[index]));
  const columns = props.columns
    .map((column, index) => ({ ...columnOf(column), index }))
    .filter(({ index }) => isShown(index));
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={props.caption}>
      <table>
        <caption class={props.hideCaption === true ? 'hidden' : ''}>{props.caption}</caption>
        <thead>
          <tr>
            {columns.map(({ name, kind }) => (
              <th key={name} scope="col" class={kind ?? ''}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.key} class={row.kind ?? ''}>
              {columns.map(({ name, kind, index }) => (
                <td key={name} data-label={name} class={kind ?? ''}>
                  {row.cells[index]}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
