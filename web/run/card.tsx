import type { JSX } from 'preact';
import type { RunView } from '../lib/live-run.ts';
import { count, words } from '../lib/format.ts';
import {
  type Node,
  type PhaseNode,
  isPhase,
  phasesBelow,
  reworkOf,
  shownStatus,
  statusOf,
  tally,
} from '../lib/model.ts';
import { href } from '../lib/route.ts';
import { Elapsed, Pill } from '../ui/basic.tsx';
import { MOST_INSTANCES } from './graph-model.ts';
import { GroupToggle } from './group-toggle.tsx';

interface CardProps {
  run: RunView;
  node: Node;
  isDense: boolean;
  isChosen: boolean;
  /** Of all cards one is reached by the tab key; from there the arrow keys lead on. */
  isTabbed: boolean;
  onFocus: (id: string) => void;
  style: Record<string, string>;
}

export const tallyText = (nodes: readonly PhaseNode[]): string =>
  tally(nodes.map(({ record }) => record))
    .map(([status, number]) => `${number} ${words(status)}`)
    .join(', ');

export const showPhase = (run: RunView, id: string): void => {
  location.hash = href('runs', run.id, 'overview', id);
};

export function Card({ run, node, isDense, isChosen, isTabbed, onFocus, style }: CardProps): JSX.Element {
  const { id, kind } = node;
  const isPart = !isPhase(node);
  return (
    <div class={`card ${statusOf(node)} ${kind} ${isChosen ? 'chosen' : ''}`} data-phase={id} style={style}>
      <button
        class="face"
        tabIndex={isTabbed ? 0 : -1}
        aria-expanded={isPart ? false : undefined}
        aria-current={isChosen ? 'true' : undefined}
        onFocus={() => onFocus(id)}
        onClick={() => (isPart ? run.toggle(node) : showPhase(run, id))}
      >
        <strong title={id}>{kind === 'repeated' ? `${id} ×` : id}</strong>
        <Pill status={shownStatus(node)} />
        {isPhase(node) ? <Inside node={node} isDense={isDense} /> : <PartInside below={phasesBelow(node)} />}
      </button>
      {isPhase(node) && node.kind === 'repeated' && <Instances run={run} node={node} />}
    </div>
  );
}

const PartInside = ({ below }: { below: readonly PhaseNode[] }): JSX.Element => (
  <>
    <span class="muted">sub-workflow, {count(below.length, 'phase')}</span>
    <span class="muted">{tallyText(below)}</span>
  </>
);

/** Rework and faults are told apart: the one is asked by gates, the other is a thing that broke. */
function Inside({
  node: { kind, planned, record, wait },
  isDense,
}: {
  node: PhaseNode;
  isDense: boolean;
}): JSX.Element {
  const rework = reworkOf(record);
  const { conditions = [] } = planned;
  return (
    <>
      {!isDense && kind !== 'repeated' && <span class="muted line">{planned.personas.join(', ')}</span>}
      {record.startedAt !== null && (
        <span class="muted line">
          <Elapsed from={record.startedAt} to={record.finishedAt} />
          {rework > 0 && ` · rework ${rework}`}
          {record.faults > 0 && ` · ${count(record.faults, 'fault')}`}
        </span>
      )}
      {record.status === 'skipped' && (
        <span class="why line" title={record.reason}>
          {record.reason}
        </span>
      )}
      {wait !== undefined && <span class="why line">in group {shortGroup(wait.group)}</span>}
      {wait === undefined && record.status === 'waiting' && conditions.length > 0 && (
        <span class="muted line">if {conditions.map(({ text }) => text).join(' and ')}</span>
      )}
    </>
  );
}

const shortGroup = (group: string): string =>
  /^[0-9A-Z]{26}[.]g\d+[/]/.test(group) ? `the instances of ${group.replace(/^.*?[/]/, '')}` : group;

function Instances({ run, node }: { run: RunView; node: PhaseNode }): JSX.Element {
  const children = node.children.filter(isPhase);
  if (children.length === 0) return <span class="muted instances">instances are not known yet</span>;
  const rest = children.length - MOST_INSTANCES;
  return (
    <div class="instances">
      <GroupToggle run={run} node={node} text={`${count(children.length, 'instance')}: ${tallyText(children)}`} />
      {run.isOpen(node) && (
        <ul>
          {children.slice(0, MOST_INSTANCES).map((child) => (
            <li key={child.id}>
              <button class="face" onClick={() => showPhase(run, child.id)}>
                <strong>{child.label}</strong> <Pill status={shownStatus(child)} />
              </button>
            </li>
          ))}
        </ul>
      )}
      {run.isOpen(node) && rest > 0 && <span class="muted">and {rest} more, in the table</span>}
    </div>
  );
}
