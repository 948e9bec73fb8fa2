import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Approval } from '../../src/shared/handoff.ts';
import type { RunView, TabProps } from '../lib/live-run.ts';
import { clock, words } from '../lib/format.ts';
import { Empty, Pill, SimulatedMark, Text, When } from '../ui/basic.tsx';
import { type Row, Table } from '../ui/table.tsx';
import { QuestionTable } from './questions.tsx';
import { named, tell } from './tell.ts';

const MOST_SHOWN = 300;

export function ActivityTab({ run }: TabProps): JSX.Element {
  const [text, setText] = useState('');
  const wanted = text.toLowerCase();
  const { approvals, questions } = run.detail;
  const lines = run.log.recent
    .map((event) => ({ seq: event.seq, at: event.at, line: tell(event) }))
    .filter(({ line }) => line.toLowerCase().includes(wanted))
    .slice(-MOST_SHOWN)
    .toReversed();
  return (
    <>
      {run.log.takings.length > 0 && <Takings run={run} />}
      {approvals.length > 0 && <Approvals approvals={approvals} />}
      {questions.length > 0 && <QuestionTable questions={questions} />}
      <div class="filter" role="search" aria-label="Activity">
        <label>
          Find <input type="search" value={text} onInput={({ currentTarget }) => setText(currentTarget.value)} />
        </label>
        <span class="muted">
          {lines.length} of {run.log.count.toLocaleString()} events, newest first
        </span>
      </div>
      {lines.length === 0 ? (
        <Empty title={text === '' ? 'Nothing has happened yet.' : 'Nothing like this happened lately.'} />
      ) : (
        <ol class="activity" tabIndex={0} aria-label="Activity, newest first">
          {lines.map(({ seq, at, line }) => (
            <li key={seq}>
              <time dateTime={at} title={at}>
                {clock(at)}
              </time>
              <Text>{line}</Text>
            </li>
          ))}
        </ol>
      )}
    </>
  );
}

/** How often the run was taken up, what was run then, and how that ended. */
function Takings({ run: { log, detail } }: { run: RunView }): JSX.Element {
  const { takings, ends } = log;
  const ended = (from: number, until: number | undefined): JSX.Element => {
    const end = ends.find(({ seq }) => seq > from && (until === undefined || seq < until));
    return end === undefined ? (
      <Pill status={detail.run.status} />
    ) : (
      <span>
        <Pill status={end.status} /> <Text>{end.reason}</Text>
      </span>
    );
  };
  const first: Row = {
    key: '1',
    cells: ['1', <When at={detail.run.createdAt} />, 'all phases', 'the run was started', ended(0, takings[0]?.seq)],
  };
  const rows = takings.map(({ seq, at, phases, reason }, index) => ({
    key: String(seq),
    cells: [
      String(index + 2),
      <When at={at} />,
      named(phases),
      <Text>{reason}</Text>,
      ended(seq, takings[index + 1]?.seq),
    ],
  }));
  return (
    <Table caption="Taken up" columns={['Taking-up', 'When', 'Run again', 'Why', 'Ended']} rows={[first, ...rows]} />
  );
}

const Approvals = ({ approvals }: { approvals: readonly Approval[] }): JSX.Element => (
  <Table
    caption="Approvals"
    columns={['Decision', 'Phase', 'Round', 'Role', 'By', 'Note', 'When']}
    rows={approvals.map((approval) => ({
      key: `${approval.phase} ${approval.role} ${approval.at}`,
      cells: [
        <Pill status={approval.decision}>{words(approval.decision)}</Pill>,
        approval.phase,
        String(approval.round + 1),
        approval.role,
        <span>
          {approval.by} {approval.simulated && <SimulatedMark />}
        </span>,
        <Text>{approval.note}</Text>,
        <When at={approval.at} />,
      ],
    }))}
  />
);
