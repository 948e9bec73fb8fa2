import type { JSX } from 'preact';
import { post, refusalText } from '../lib/api.ts';
import type { RunView } from '../lib/live-run.ts';
import { refusalFor, useMe } from '../lib/me.ts';
import { ConfirmButton } from '../ui/confirm.tsx';
import { notify } from '../ui/notice.tsx';

/** Why something cannot be done with the token of whoever looks; undefined when it can, as far as the page knows. */
export function useRefusal(action: string): string | undefined {
  const me = useMe();
  return refusalFor(me, action === 'approvals' || action === 'questions' ? 'approve' : 'run');
}

/** Does something to a run, tells what came of it, and fetches the run again. Returns whether it was done. */
export async function act(
  run: RunView,
  action: string,
  done: string,
  body: Record<string, unknown> = {},
): Promise<boolean> {
  try {
    await post(`/api/runs/${run.id}/${action}`, body);
    notify(done);
    return true;
  } catch (err) {
    notify(refusalText(err), 'bad');
    return false;
  } finally {
    await run.refresh();
  }
}

/** Whether what did not pass can be run again. */
export const canBeTakenUp = ({ detail }: RunView): boolean => detail.run.finishedAt !== null && !detail.archived;

const reasonOf = (action: string, reason: string): string => (reason === '' ? `${action} in the run viewer` : reason);

interface Action {
  action: string;
  label: string;
  kind: 'primary' | 'danger' | '';
  question: string;
  about: string;
  done: string;
}
const RESUME: Omit<Action, 'about' | 'done'> = {
  action: 'resume',
  label: 'Resume',
  kind: 'primary',
  question: 'Resume this run?',
};
const GO_ON: Action = { ...RESUME, about: 'Phases that were held back start again.', done: 'The run goes on' };
const TAKE_UP: Action = {
  ...RESUME,
  about: 'What did not pass is run again, and what depends on it. What passed stays as it is.',
  done: 'What did not pass is run again',
};
const PAUSE: Action = {
  action: 'pause',
  label: 'Pause',
  kind: '',
  question: 'Pause this run?',
  about: 'What is under way goes on; nothing new starts until it is resumed.',
  done: 'Paused: nothing new starts',
};
const CANCEL: Action = {
  action: 'cancel',
  label: 'Cancel run',
  kind: 'danger',
  question: 'Cancel this run?',
  about: 'Its work stops everywhere. It can be resumed later.',
  done: 'Cancelled',
};

function actionsOf({ detail: { run, archived } }: RunView): Action[] {
  if (archived) return [];
  if (run.status === 'paused') return [GO_ON, CANCEL];
  if (run.finishedAt === null) return [PAUSE, CANCEL];
  return run.status === 'passed' || run.status === 'passed_with_warnings' ? [] : [TAKE_UP];
}

/** What can be done to the run now: the server refuses the rest, and says why. */
export const Controls = ({ run }: { run: RunView }): JSX.Element => (
  <div class="buttons wrap">
    {actionsOf(run).map((action) => (
      <ActionButton key={`${action.action} ${action.about}`} run={run} of={action} />
    ))}
  </div>
);

interface ActionProps {
  run: RunView;
  of: Action;
  name?: string;
  body?: Record<string, unknown>;
}
function ActionButton({ run, of, name = of.label, body = {} }: ActionProps): JSX.Element {
  const { action, label, kind, question, about, done } = of;
  const refusal = useRefusal(action);
  return (
    <ConfirmButton
      label={label}
      name={name}
      kind={kind}
      question={question}
      refusal={refusal}
      act={async (reason) => void (await act(run, action, done, { ...body, reason: reasonOf(action, reason) }))}
    >
      {about}
    </ConfirmButton>
  );
}

/** One phase that did not pass, run again. */
export const RetryButton = ({ run, phase }: { run: RunView; phase: string }): JSX.Element => (
  <ActionButton
    run={run}
    name={`Retry ${phase}`}
    body={{ phase }}
    of={{
      action: 'retry',
      label: 'Retry',
      kind: '',
      question: `Run ${phase} again?`,
      about: 'It goes on from what it had, and what waits for it follows.',
      done: `${phase} is run again`,
    }}
  />
);

/** A phase and all after it, from the beginning. */
export const FromHereButton = ({ run, phase }: { run: RunView; phase: string }): JSX.Element => (
  <ActionButton
    run={run}
    body={{ from: phase }}
    of={{
      action: 'retry',
      label: 'Run again from here',
      kind: '',
      question: `Run ${phase} and everything after it again?`,
      about: 'They start from the beginning, whether they passed or not.',
      done: `Runs again from ${phase}`,
    }}
  />
);
