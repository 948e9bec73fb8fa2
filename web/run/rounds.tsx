import type { JSX } from 'preact';
import type { RoundRecord } from '../../src/shared/run-record.ts';
import type { PhaseVerdict } from '../../src/shared/verdict.ts';
import { count } from '../lib/format.ts';
import type { RunView } from '../lib/live-run.ts';
import { takingAt } from '../lib/model.ts';
import { OriginMarks, Pill, SimulatedMark, Text, When } from '../ui/basic.tsx';
import { Fold } from '../ui/fold.tsx';
import { Table } from '../ui/table.tsx';
import { Evidence } from './evidence.tsx';
import { type Judged, type Reading, judgedBy } from './judged.ts';

const COLUMNS = ['Outcome', 'Name', 'Required', 'Measured', 'Message'];

/** One round of a phase: everything it was judged by, and what that rests on. */
export function RoundDetail(props: {
  run: RunView;
  phase: string;
  entry: RoundRecord;
  isOpen: boolean;
  isAsked: boolean;
}): JSX.Element {
  const { run, phase, entry, isOpen, isAsked } = props;
  const { round, verdict, at, findings } = entry;
  const { takings } = run.log;
  const { folds } = run.look;
  const of = `${phase}, round ${round + 1}`;
  const summary = (
    <>
      Round {round + 1} <Pill status={verdict.verdict} /> <OriginMarks of={verdict} />
      <span class="muted">
        policy {verdict.policy}
        {verdict.fallback && ' (fallback)'}, {count(findings, 'finding')}
        {takings.length > 0 && ` · taking-up ${takingAt(takings, at)}`} · <When at={at} />
      </span>
    </>
  );
  return (
    <Fold folds={folds} id={`round-${phase}-${round + 1}`} kind="round" isOpen={isOpen || isAsked} summary={summary}>
      {() => (
        <>
          {verdict.brokenBypassLog !== undefined && (
            <p class="banner bad">No bypass counts: the log is broken: {verdict.brokenBypassLog}</p>
          )}
          <JudgedTables of={of} verdict={verdict} />
          <Bypasses of={of} verdict={verdict} />
          <NotEvaluable of={of} verdict={verdict} />
          <Baseline verdict={verdict} />
          <Fold
            folds={folds}
            id={`evidence-${phase}-${round}`}
            kind="evidence"
            isOpen={isAsked}
            summary="Integrity, claims and evidence"
          >
            {() => <Evidence run={run} reference={entry.evidence} of={of} />}
          </Fold>
        </>
      )}
    </Fold>
  );
}

function JudgedTables({ of, verdict }: { of: string; verdict: PhaseVerdict }): JSX.Element {
  const groups = Map.groupBy(judgedBy(verdict), ({ group }) => group);
  return (
    <>
      {[...groups].map(([group, lines]) => (
        <Table key={group} caption={`${group} of ${of}`} columns={COLUMNS} rows={lines.map(rowOf)} />
      ))}
    </>
  );
}

const rowOf = (each: Judged) => ({
  key: `${each.name} ${each.about}`,
  cells: [
    <Pill status={each.outcome} />,
    <span>
      <strong>{each.name}</strong>
      {each.isWarning && <span class="muted"> (warning)</span>}
      {each.about !== '' && <div class="muted">{each.about}</div>}
    </span>,
    <code>{each.required}</code>,
    each.values.length === 0 ? (
      <Text>{each.files.length === 0 ? '–' : each.files.join(', ')}</Text>
    ) : (
      each.values.map((value) => <ReadingLine key={value.metric} reading={value} />)
    ),
    <Text>{each.message}</Text>,
  ],
});

const ReadingLine = ({ reading: { metric, text, source, simulated } }: { reading: Reading }): JSX.Element => (
  <div>
    {metric !== '' && `${metric} = `}
    <span class="num">{text}</span> {source !== '' && <span class="muted">({source})</span>}{' '}
    {simulated && <SimulatedMark />}
  </div>
);

const Bypasses = ({ of, verdict: { bypasses = [] } }: { of: string; verdict: PhaseVerdict }): JSX.Element | null =>
  bypasses.length === 0 ? null : (
    <Table
      caption={`Bypasses of ${of}`}
      columns={['Outcome', 'Gate', 'Needs', 'Who', 'Message']}
      rows={bypasses.map((each) => ({
        key: each.id,
        cells: [
          <Pill status={each.outcome} />,
          <strong>{each.gate}</strong>,
          `approval by ${each.role}`,
          <div>
            <div>asked by {each.requestedBy}</div>
            <div>{each.approvedBy === null ? 'not approved' : `approved by ${each.approvedBy}`}</div>
            <div class="muted">
              until <When at={each.until} />
            </div>
          </div>,
          <Text>{`${each.message}\n${each.reason}`}</Text>,
        ],
      }))}
    />
  );

const NotEvaluable = ({ of, verdict: { errors } }: { of: string; verdict: PhaseVerdict }): JSX.Element | null =>
  errors.length === 0 ? null : (
    <Table
      caption={`Not evaluable in ${of}`}
      columns={['Metric', 'For', 'Reason']}
      rows={errors.map((each, index) => ({
        key: `${each.metric} ${index}`,
        cells: [
          <strong>{each.metric}</strong>,
          each.gate ?? each.criterion ?? (each.persona === undefined ? '–' : `contract of ${each.persona}`),
          <Text>{each.reason}</Text>,
        ],
      }))}
    />
  );

function Baseline({ verdict: { baseline } }: { verdict: PhaseVerdict }): JSX.Element | null {
  if (baseline === undefined) return null;
  if (baseline === null) return <p class="muted">There was no baseline to compare with.</p>;
  return (
    <p class="muted">
      Compared with {baseline.source}, files {baseline.tree.slice(0, 12)}, of <When at={baseline.at} />.
    </p>
  );
}
