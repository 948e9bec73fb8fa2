import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { RunView, TabProps } from '../lib/live-run.ts';
import { type PhaseNode, phasesOf, shownStatus } from '../lib/model.ts';
import { count, words } from '../lib/format.ts';
import { href } from '../lib/route.ts';
import { Empty, Pill } from '../ui/basic.tsx';
import { Fold } from '../ui/fold.tsx';
import { History } from './history.tsx';
import { RoundDetail } from './rounds.tsx';

const PAGE = 60;
/** Of so many, those that did not pass at once are open from the start. */
const FEW = 20;

/** What every phase was judged by, round by round, and what that rests on. */
export function GatesTab({ run, rest }: TabProps): JSX.Element {
  const [chosen, round] = rest;
  const [text, setText] = useState('');
  const [most, setMost] = useState(PAGE);
  const told = useMemo(() => phasesOf(run.tree).filter(isWorthTelling), [run.tree]);
  const found = told.filter(({ id }) =>
    chosen === undefined ? id.toLowerCase().includes(text.toLowerCase()) : id === chosen,
  );
  const ungated = phasesOf(run.tree).filter((node) => !isGated(node));
  useEffect(() => scrollToRound(chosen, round), [chosen, round]);
  return (
    <>
      <div class="filter" role="search" aria-label="Gates">
        {chosen === undefined ? (
          told.length > 5 && (
            <label>
              Phase <input type="search" value={text} onInput={({ currentTarget }) => setText(currentTarget.value)} />
            </label>
          )
        ) : (
          <a href={href('runs', run.id, 'gates')}>All phases</a>
        )}
        <span class="muted">
          {count(found.filter(isGated).length, 'gated phase')}
          {chosen === undefined &&
            ungated.length > 0 &&
            `, ${ungated.length} not gated: nothing measured them, so nothing says that they passed`}
        </span>
      </div>
      {found.length === 0 && <NoGates chosen={chosen} />}
      {found.slice(0, most).map((node) => (
        <PhaseGates
          key={node.id}
          run={run}
          node={node}
          isChosen={node.id === chosen}
          isOneOfFew={found.length <= FEW}
          round={round}
        />
      ))}
      {found.length > most && (
        <p>
          <button onClick={() => setMost(most + PAGE)}>Show more of {found.length}</button>
        </p>
      )}
    </>
  );
}

const isGated = ({ planned }: PhaseNode): boolean => planned.policy !== null;
/** A phase without a policy has rounds too, in which its contracts may have been looked at. */
const isWorthTelling = (node: PhaseNode): boolean => isGated(node) || node.record.rounds.length > 0;

const NoGates = ({ chosen }: { chosen: string | undefined }): JSX.Element => (
  <Empty title={chosen === undefined ? 'No phase of this run is gated.' : `${chosen} is not gated.`}>
    <p>Nothing measures such a phase, and it is never counted as passed.</p>
  </Empty>
);

function scrollToRound(phase: string | undefined, round: string | undefined): void {
  if (phase === undefined || round === undefined) return;
  const place = document.querySelector(`details[data-key="round-${CSS.escape(phase)}-${CSS.escape(round)}"] > summary`);
  if (place instanceof HTMLElement) {
    place.scrollIntoView({ block: 'start' });
    place.focus({ preventScroll: true });
  }
}

function judgedText({ record, planned }: PhaseNode): string {
  const last = record.rounds.at(-1)?.verdict;
  if (last === undefined) {
    const still = record.finishedAt === null ? ' yet' : '';
    return planned.policy === null ? 'not gated' : `not judged${still}, policy ${planned.policy}`;
  }
  const parts = [
    ...(planned.policy === null
      ? ['nothing measured it']
      : [count(last.gates.length, 'gate'), count(last.criteria.length, 'criterion', 'criteria')]),
    ...(last.contracts === undefined ? [] : [`${count(last.contracts.length, 'line')} of contracts`]),
    ...(planned.policy === null && last.errors.length === 0 ? [] : [`${last.errors.length} not evaluable`]),
  ];
  return `${parts.join(', ')} · ${count(record.rounds.length, 'round')}`;
}

function PhaseGates({
  run,
  node,
  isChosen,
  isOneOfFew,
  round,
}: {
  run: RunView;
  node: PhaseNode;
  isChosen: boolean;
  isOneOfFew: boolean;
  round: string | undefined;
}): JSX.Element {
  const { record, planned } = node;
  const last = record.rounds.at(-1)?.verdict;
  const summary = (
    <>
      <strong>{node.id}</strong> <Pill status={shownStatus(node)} />
      <span class="muted">{judgedText(node)}</span>
    </>
  );
  return (
    <Fold
      folds={run.look.folds}
      id={`gates-${node.id}`}
      kind="phase"
      isOpen={isChosen || (isOneOfFew && (last?.verdict === 'blocked' || record.rounds.length > 1))}
      summary={summary}
    >
      {() => (
        <>
          {record.reason !== '' && <p class={`banner ${record.status}`}>{record.reason}</p>}
          {record.rounds.length === 0 ? (
            <p class="muted">
              {planned.policy === null
                ? 'No policy.'
                : `Policy ${planned.policy}${planned.policyFallback ? ' (fallback: no policy names this phase)' : ''}.`}{' '}
              No round has been judged: the phase is {words(record.status)}.
            </p>
          ) : (
            <History run={run} record={record} />
          )}
          {record.rounds
            .map((entry) => (
              <RoundDetail
                key={entry.round}
                run={run}
                phase={node.id}
                entry={entry}
                isAsked={round === String(entry.round + 1)}
                isOpen={round === undefined && record.rounds.length === 1}
              />
            ))
            .toReversed()}
        </>
      )}
    </Fold>
  );
}
