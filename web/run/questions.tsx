import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Question } from '../../src/shared/question.ts';
import type { RunView } from '../lib/live-run.ts';
import { SimulatedMark, Text, When } from '../ui/basic.tsx';
import { Table } from '../ui/table.tsx';
import { act, useRefusal } from './controls.tsx';

/** What a persona asks a person; its work waits for the answer. */
export function QuestionForm({ run, question }: { run: RunView; question: Question }): JSX.Element {
  const [by, setBy] = useState('');
  const [text, setText] = useState('');
  const [isBusy, setBusy] = useState(false);
  const { id, persona, phase, options = [] } = question;
  const refusal = useRefusal('questions');
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    await act(run, `questions/${id}`, `${persona} goes on with your answer`, { by, text });
    setBusy(false);
  };
  return (
    <form class="decision" onSubmit={(event) => void submit(event)} aria-label={`Question of ${persona}`}>
      <h2>
        {persona} asks, in {phase}
      </h2>
      <p class="asked text">{question.question}</p>
      {options.length > 0 && (
        <div class="buttons wrap" role="group" aria-label="Proposed answers">
          {options.map((option) => (
            <button key={option} type="button" aria-pressed={option === text} onClick={() => setText(option)}>
              {option}
            </button>
          ))}
        </div>
      )}
      <div class="fields">
        <label class="wide">
          Answer
          <textarea
            required
            rows={2}
            maxLength={20_000}
            value={text}
            onInput={({ currentTarget }) => setText(currentTarget.value)}
          />
        </label>
        <label>
          Your name
          <input
            required
            autocomplete="name"
            maxLength={200}
            value={by}
            onInput={({ currentTarget }) => setBy(currentTarget.value)}
          />
        </label>
      </div>
      {refusal !== undefined && <p class="refusal">{refusal}</p>}
      <div class="buttons">
        <button class="primary" disabled={isBusy || refusal !== undefined}>
          {isBusy ? 'Sending…' : 'Answer'}
        </button>
      </div>
    </form>
  );
}

export const QuestionTable = ({ questions }: { questions: readonly Question[] }): JSX.Element => (
  <Table
    caption="Questions of personas"
    columns={['Persona', 'Phase', 'Question', 'Answer', 'By', 'Asked']}
    rows={questions.map(({ id, persona, phase, question, answer, withdrawn, askedAt }) => ({
      key: id,
      cells: [
        persona,
        phase,
        <Text>{question}</Text>,
        answer === null ? <Unanswered withdrawn={withdrawn} /> : <Text>{answer.text}</Text>,
        answer === null ? (
          ''
        ) : (
          <span>
            {answer.by} {answer.simulated && <SimulatedMark />}
          </span>
        ),
        <When at={askedAt} />,
      ],
    }))}
  />
);

const Unanswered = ({ withdrawn }: Pick<Question, 'withdrawn'>): JSX.Element =>
  withdrawn === undefined ? (
    <span class="muted">not answered yet</span>
  ) : (
    <span class="muted">
      withdrawn: <Text>{withdrawn.reason}</Text>
    </span>
  );
