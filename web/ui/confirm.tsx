import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';

interface ConfirmProps {
  /** What is on the button that opens it, and on the one that does it. */
  label: string;
  name?: string;
  kind?: 'primary' | 'danger' | '';
  question: string;
  /** What will happen, so that nobody has to guess. */
  children: ComponentChildren;
  /** Why it cannot be done; the button says so then, and does nothing. */
  refusal?: string | undefined;
  act: (reason: string) => Promise<void>;
}

/** A button that asks before it acts, and takes a reason that is kept with the run. */
export function ConfirmButton({
  label,
  name = label,
  kind = '',
  question,
  children,
  refusal,
  act,
}: ConfirmProps): JSX.Element {
  const [isOpen, setOpen] = useState(false);
  const hint = useId();
  return (
    <>
      <button
        class={kind}
        aria-label={name}
        aria-disabled={refusal !== undefined}
        aria-describedby={refusal === undefined ? undefined : hint}
        title={refusal}
        onClick={() => refusal === undefined && setOpen(true)}
      >
        {label}
      </button>
      {refusal !== undefined && (
        <span id={hint} class="hidden">
          {refusal}
        </span>
      )}
      {isOpen && (
        <Confirm label={label} kind={kind} question={question} act={act} close={() => setOpen(false)}>
          {children}
        </Confirm>
      )}
    </>
  );
}

type OpenProps = Pick<ConfirmProps, 'label' | 'kind' | 'question' | 'children' | 'act'> & { close: () => void };

function Confirm({ label, kind, question, children, act, close }: OpenProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const [reason, setReason] = useState('');
  const [isBusy, setBusy] = useState(false);
  const title = useId();
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    await act(reason.trim());
    close();
  };
  return (
    <dialog ref={dialog} aria-labelledby={title} onClose={close}>
      <form onSubmit={(event) => void submit(event)}>
        <h2 id={title}>{question}</h2>
        <div class="muted">{children}</div>
        <label>
          Reason (optional, kept with the run)
          <input value={reason} maxLength={1000} onInput={({ currentTarget }) => setReason(currentTarget.value)} />
        </label>
        <div class="buttons end">
          <button type="button" onClick={close}>
            Back
          </button>
          <button class={kind === '' ? 'primary' : (kind ?? '')} disabled={isBusy}>
            {isBusy ? 'Working…' : label}
          </button>
        </div>
      </form>
    </dialog>
  );
}
