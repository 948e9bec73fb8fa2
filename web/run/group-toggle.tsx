import type { JSX } from 'preact';
import type { RunView } from '../lib/live-run.ts';
import type { Node } from '../lib/model.ts';

/** A button that opens and closes a group of phases. */
export function GroupToggle({ run, node, text }: { run: RunView; node: Node; text: string }): JSX.Element {
  const isOpen = run.isOpen(node);
  return (
    <button
      class="toggle"
      aria-expanded={isOpen}
      aria-label={`${isOpen ? 'Close' : 'Open'} ${node.id}: ${text}`}
      onClick={() => run.toggle(node)}
    >
      <span aria-hidden="true">{isOpen ? '▾ ' : '▸ '}</span>
      {text}
    </button>
  );
}
