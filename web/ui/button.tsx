import type { JSX } from 'preact';
import { useId } from 'preact/hooks';

export interface ButtonProps {
  label: string;
  /** What it is called, when the label says too little. */
  name?: string;
  kind?: 'primary' | 'danger' | '';
  /** Why it cannot be done; the button says so then, and does nothing. */
  refusal?: string | undefined;
}

/** A button for something that not everybody may do. */
export function Button({
  label,
  name = label,
  kind = '',
  refusal,
  onClick,
}: ButtonProps & { onClick: () => void }): JSX.Element {
  const hint = useId();
  return (
    <>
      <button
        class={kind}
        aria-label={name}
        aria-disabled={refusal !== undefined}
        aria-describedby={refusal === undefined ? undefined : hint}
        title={refusal}
        onClick={() => refusal === undefined && onClick()}
      >
        {label}
      </button>
      {refusal !== undefined && (
        <span id={hint} class="hidden">
          {refusal}
        </span>
      )}
    </>
  );
}
