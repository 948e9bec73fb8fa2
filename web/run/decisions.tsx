import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { PhaseRecord } from '../../src/shared/run-record.ts';
import { href } from '../lib/route.ts';
import type { RunView } from '../lib/live-run.ts';
import { act, useRefusal } from './controls.tsx';
import { QuestionForm } from './questions.tsx';

/** What waits for a person: it stands above everything else. */
export function Decisions({ run }: { run: RunView }): JSX.Element | null {
  if (run.detail.archived) return null;
  const questions = run.detail.questions.filter(({ answer, withdrawn }) => answer === null && withdrawn === undefined);
  const asking = new Set(questions.map(({ phase }) => phase));
  const waiting = run.detail.phases.filter(({ phase, status }) => status === 'awaiting_approval' && !asking.has(phase));
  if (waiting.length + questions.length === 0) return null;
  return (
    <div class="decisions">
      {waiting.map((record) => (
        <ApprovalForm key={record.phase} run={run} record={record} />
      ))}
      {questions.map((question) => (
        <QuestionForm key={question.id} run={run} question={question} />
      ))}
    </div>
  );
}

function ApprovalForm({ run, record }: { run: RunView; record: PhaseRecord }): JSX.Element {
  const [role, setRole] = useState<string>();
  const [by, setBy] = useState('');
  const [note, setNote] = useState('');
  const [isBusy, setBusy] = useState(false);
  const { phase, round } = record;
  const isGated = run.detail.plan.some((planned) => planned.name === phase && planned.policy !== null);
  const asked = role ?? run.log.asked.get(phase) ?? '';
  const refusal = useRefusal('approvals');
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const decision = event.submitter?.getAttribute('value') === 'rejected' ? 'rejected' : 'approved';
    setBusy(true);
    await act(run, `approvals/${phase}`, `${phase}: ${decision}`, { role: asked, by, note, decision, round });
    setBusy(false);
  };
  return (
    <form class="decision" onSubmit={(event) => void submit(event)} aria-label={`Decision on ${phase}`}>
      <h2>{phase} waits for a decision</h2>
      <p class="muted">
        Look at {isGated ? 'its ' : 'what it '}
        <a href={isGated ? href('runs', run.id, 'gates', phase) : href('runs', run.id, 'changes')}>
          {isGated ? 'gates' : 'changed'}
        </a>{' '}
        first. The decision counts for round {round + 1}.
      </p>
      <div class="fields">
        <label>
          Role
          <input name="role" required value={asked} onInput={({ currentTarget }) => setRole(currentTarget.value)} />
        </label>
        <label>
          Your name
          <input
            name="by"
            required
            autocomplete="name"
            value={by}
            onInput={({ currentTarget }) => setBy(currentTarget.value)}
          />
        </label>
        <label class="wide">
          Note
          <input name="note" value={note} onInput={({ currentTarget }) => setNote(currentTarget.value)} />
        </label>
      </div>
      {refusal !== undefined && <p class="refusal">{refusal}</p>}
      <div class="buttons">
        <button class="primary" value="approved" disabled={isBusy || refusal !== undefined}>
          Approve
        </button>
        <button value="rejected" disabled={isBusy || refusal !== undefined}>
          Reject
        </button>
      </div>
    </form>
  );
}
