import type { ComponentChildren, JSX } from 'preact';
import { useState } from 'preact/hooks';

interface FoldProps {
  /** Where it is kept what somebody opened or closed; what nobody touched follows `isOpen`. */
  folds: Map<string, boolean>;
  id: string;
  kind: string;
  isOpen?: boolean;
  summary: ComponentChildren;
  children: () => ComponentChildren;
}

/** Something that opens and closes. What is inside is made while it is open, so that a page of many closed ones is small. */
export function Fold({ folds, id, kind, isOpen = false, summary, children }: FoldProps): JSX.Element {
  const [, setTouched] = useState(0);
  const open = folds.get(id) ?? isOpen;
  const toggle = (event: Event): void => {
    event.preventDefault();
    folds.set(id, !open);
    setTouched((touched) => touched + 1);
  };
  return (
    <details class={kind} data-key={id} open={open}>
      <summary onClick={toggle}>{summary}</summary>
      {open && children()}
    </details>
  );
}
