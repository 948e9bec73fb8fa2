import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { Button, type ButtonProps } from './button.tsx';

interface ConfirmProps extends ButtonProps {
  question: string;
  /** What will happen, so that nobody has to guess. */
  children: ComponentChildren;
  act: (reason: string) => Promise<void>;
}

/** A button that asks before it acts, and takes a reason that is kept with the run. Its label is on the one that does it too. */
export function ConfirmButton({ question, children, act, ...button }: ConfirmProps): JSX.Element {
  const [isOpen, setOpen] = useState(false);
  const { label, kind = '' } = button;
  return (
    <>
      <Button {...button} onClick={() => setOpen(true)} />
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
