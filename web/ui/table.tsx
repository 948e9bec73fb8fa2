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

/** A table that scrolls by itself when it is wide; on a narrow screen a row is a card whose cells say what they are. */
export function Table(props: {
  caption: string;
  columns: readonly (string | Column)[];
  rows: readonly Row[];
  hideCaption?: boolean;
}): JSX.Element {
  const columns = props.columns.map(columnOf);
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
          {props.rows.map((row) => (
            <tr key={row.key} class={row.kind ?? ''}>
              {row.cells.map((cell, index) => (
                <td
                  key={columns[index]?.name ?? index}
                  data-label={columns[index]?.name ?? ''}
                  class={columns[index]?.kind ?? ''}
                >
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
