import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { count, tokens, words } from '../lib/format.ts';
import type { RunView } from '../lib/live-run.ts';
import {
  type Listed,
  type PhaseNode,
  isPhase,
  listed,
  phasesBelow,
  phasesOf,
  reworkOf,
  shownStatus,
  statusOf,
  tally,
} from '../lib/model.ts';
import { href } from '../lib/route.ts';
import { Elapsed, Pill, OriginMarks, Text } from '../ui/basic.tsx';
import { type Row, Table } from '../ui/table.tsx';
import { tallyText } from './card.tsx';
import { RetryButton, canBeTakenUp } from './controls.tsx';
import { GroupToggle } from './group-toggle.tsx';
import { WaitText } from './wait-text.tsx';

const PAGE = 100;
/** From here on a list is worth searching. */
const SEARCH_FROM = 15;

/** The phases that are shown: all, with closed groups as one; or those that were searched for, wherever they are. */
function shownOf(run: RunView): Listed[] {
  const { text, status } = run.look.filter;
  if (text === '' && status === '') return listed(run.tree.roots, run.isOpen);
  const wanted = text.toLowerCase();
  return phasesOf(run.tree)
    .filter(
      (node) =>
        shownStatus(node).startsWith(status) && `${node.id} ${node.record.reason}`.toLowerCase().includes(wanted),
    )
    .map((node) => ({ node, depth: 0 }));
}

export function PhaseTable({ run }: { run: RunView }): JSX.Element {
  const [most, setMost] = useState(PAGE);
  const all = shownOf(run);
  const more = Math.min(PAGE, all.length - most);
  return (
    <>
      <h2>Phases</h2>
      {run.tree.nodes.size >= SEARCH_FROM && <Search run={run} found={all.length} />}
      <Table
        caption="Phases"
        hideCaption
        dropEmpty
        columns={[
          'Phase',
          'Status',
          'Personas',
          'Policy',
          'Rounds',
          { name: 'Faults', kind: 'number' },
          { name: 'Time', kind: 'number' },
          { name: 'Tokens', kind: 'number' },
          'Why',
        ]}
        rows={all.slice(0, most).map((each) => rowOf(run, each))}
      />
      {more > 0 && (
        <p>
          <button onClick={() => setMost(most + PAGE)}>
            Show {more} more of {all.length}
          </button>
        </p>
      )}
    </>
  );
}

function Search({ run, found }: { run: RunView; found: number }): JSX.Element {
  const { filter } = run.look;
  const phases = phasesOf(run.tree);
  const options = [
    ['', `all (${phases.length})`] as const,
    ...tally(phases.map(({ record }) => record)).map(
      ([status, number]) => [status, `${words(status)} (${number})`] as const,
    ),
  ];
  const search = (change: Partial<typeof filter>): void => {
    Object.assign(filter, change);
    run.redraw();
  };
  return (
    <div class="filter" role="search" aria-label="Phases">
      <label>
        Phase or reason{' '}
        <input
          type="search"
          value={filter.text}
          onInput={({ currentTarget }) => search({ text: currentTarget.value })}
        />
      </label>
      <label>
        Status{' '}
        <select value={filter.status} onChange={({ currentTarget }) => search({ status: currentTarget.value })}>
          {options.map(([value, name]) => (
            <option key={value} value={value}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <span class="muted">{found} listed</span>
    </div>
  );
}

function rowOf(run: RunView, { node, depth }: Listed): Row {
  const kind = `depth-${Math.min(depth, 3)}`;
  if (isPhase(node)) return { key: node.id, kind, cells: phaseCells(run, node, depth) };
  const below = phasesBelow(node);
  const name = (
    <div class="name">
      <strong>{node.label}</strong>
      <GroupToggle run={run} node={node} text={count(below.length, 'phase')} />
    </div>
  );
  return {
    key: node.id,
    kind,
    cells: [name, <Pill status={statusOf(node)} />, 'sub-workflow', '', '', '', '', '', tallyText(below)],
  };
}

function phaseCells(run: RunView, node: PhaseNode, depth: number): Row['cells'] {
  const { id, label, record, planned, children } = node;
  return [
    <div class="name">
      <a href={href('runs', run.id, 'overview', id)}>{depth > 0 ? label : id}</a>
      {node.kind === 'repeated' && children.length > 0 && (
        <GroupToggle run={run} node={node} text={count(children.length, 'instance')} />
      )}
    </div>,
    <span class="nowrap">
      <Pill status={shownStatus(node)} />{' '}
      {record.startedAt !== null && (
        <OriginMarks of={{ simulated: record.simulated, replayed: run.detail.run.replayed }} />
      )}
    </span>,
    planned.personas.join(', '),
    planned.policy === null ? (
      <span class="muted">not gated</span>
    ) : (
      `${planned.policy}${planned.policyFallback ? ' (fallback)' : ''}`
    ),
    record.rounds.length === 0 && record.round === 0 ? (
      ''
    ) : (
      <span>
        {record.rounds.length}
        {reworkOf(record) > 0 && (
          <span class="muted">
            {' '}
            (rework {reworkOf(record)} of {planned.rework})
          </span>
        )}
      </span>
    ),
    record.faults === 0 ? '' : String(record.faults),
    record.startedAt === null ? '' : <Elapsed from={record.startedAt} to={record.finishedAt} />,
    record.usage.calls === 0 ? '' : tokens(record.usage),
    whyOf(run, node),
  ];
}

/** Why it stands as it stands, and what can be done; empty when there is nothing to say. */
function whyOf(run: RunView, { id, record, children, kind, wait }: PhaseNode): JSX.Element | null {
  const canRetry = canBeTakenUp(run) && ['blocked', 'failed', 'cancelled'].includes(record.status);
  const instances = kind === 'repeated' ? children.filter(isPhase) : [];
  if (instances.length === 0 && record.reason === '' && wait === undefined && !canRetry) return null;
  return (
    <div>
      {instances.length > 0 && <div>{tallyText(instances)}</div>}
      <Text>{record.reason}</Text>
      {wait !== undefined && <WaitText run={run} wait={wait} />} {canRetry && <RetryButton run={run} phase={id} />}
    </div>
  );
}
