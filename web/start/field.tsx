import type { ComponentChildren, JSX } from 'preact';
import { useId } from 'preact/hooks';

/** What ties a control to its name, its hint and what is wrong with it. */
interface ControlProps {
  id: string;
  'aria-describedby': string | undefined;
  'aria-invalid': boolean | undefined;
}

interface FieldProps {
  name: ComponentChildren;
  isOptional?: boolean;
  hint?: string;
  /** What the service said of it. */
  error: string | undefined;
  children: (control: ControlProps) => JSX.Element;
}

/** One field: its name, what it is for, and beside it what is wrong with it. */
export function Field({ name, isOptional = false, hint = '', error, children }: FieldProps): JSX.Element {
  const id = useId();
  const described = [hint === '' ? [] : `${id}-hint`, error === undefined ? [] : `${id}-error`].flat().join(' ');
  const control: ControlProps = {
    id,
    'aria-describedby': described === '' ? undefined : described,
    'aria-invalid': error === undefined ? undefined : true,
  };
  return (
    <div class="field">
      <label for={id}>
        {name} {isOptional && <span class="muted">optional</span>}
      </label>
      {children(control)}
      {error !== undefined && (
        <p class="refusal" id={`${id}-error`}>
          <span aria-hidden="true">✕</span> {asSentence(error)}
        </p>
      )}
      {hint !== '' && (
        <p class="muted" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

const asSentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;
