import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { PhaseJobs } from '../../src/producer/phase-jobs.ts';
import { count, tokens, words } from '../lib/format.ts';
import type { RunView } from '../lib/live-run.ts';
import { type PhaseNode, reworkOf, shownStatus } from '../lib/model.ts';
import { href } from '../lib/route.ts';
import { useAsked } from '../lib/use-asked.ts';
import { Elapsed, Fact, OriginMarks, Pill } from '../ui/basic.tsx';
import { Table } from '../ui/table.tsx';
import { FromHereButton, RetryButton, canBeTakenUp } from './controls.tsx';
import { isBad, isGood, judgedBy } from './judged.ts';
import { WaitText } from './wait-text.tsx';

/** What is known of one phase, and where there is more of it. */
export function PhasePanel({ run, node }: { run: RunView; node: PhaseNode }): JSX.Element {
  const { id, record, planned, wait } = node;
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    title.current?.focus({ preventScroll: true });
    const isCalm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    title.current?.closest('.panel')?.scrollIntoView({ block: 'nearest', behavior: isCalm ? 'auto' : 'smooth' });
  }, []);
  const canRetry = canBeTakenUp(run) && ['blocked', 'failed', 'cancelled'].includes(record.status);
  const canGoFromHere = canBeTakenUp(run) && record.status !== 'not_started' && planned.instance === undefined;
  return (
    <section class="panel" data-panel={id} aria-label={`Phase ${id}`}>
      <div class="title">
        <h2 tabIndex={-1} ref={title}>
          {id}
        </h2>
        <Pill status={shownStatus(node)} />
        {record.startedAt !== null && (
          <OriginMarks of={{ simulated: record.simulated, replayed: run.detail.run.replayed }} />
        )}
        <div class="buttons wrap">
          {canRetry && <RetryButton run={run} phase={id} />}
          {canGoFromHere && <FromHereButton run={run} phase={id} />}
          <a class="button quiet" href={href('runs', run.id)} aria-label="Close the phase">
            ✕
          </a>
        </div>
      </div>
      {record.reason !== '' && <p class={`banner ${record.status}`}>{record.reason}</p>}
      {wait !== undefined && (
        <div class="banner">
          <WaitText run={run} wait={wait} />
        </div>
      )}
      <PhaseLinks run={run} node={node} />
      <PhaseFacts run={run} node={node} />
      <LastRound run={run} node={node} />
      <Jobs run={run} node={node} />
    </section>
  );
}

const PhaseLinks = ({ run, node: { id, record, planned } }: { run: RunView; node: PhaseNode }): JSX.Element => (
  <p class="links">
    {(planned.policy !== null || record.rounds.length > 0) && (
      <a href={href('runs', run.id, 'gates', id)}>Gates of {id}</a>
    )}
    {Object.keys(record.transcripts)
      .slice(-1)
      .map((name) => (
        <a key={name} href={href('runs', run.id, 'transcript', id, name)}>
          Transcript of {id}
        </a>
      ))}
    {record.commit !== null && (
      <a href={`${href('runs', run.id, 'files')}?phase=${encodeURIComponent(id)}`}>Files after {id}</a>
    )}
  </p>
);

const code = (text: string): JSX.Element => <code>{text}</code>;
const joined = (parts: readonly ComponentChildren[], by: string): ComponentChildren[] =>
  parts.flatMap((part, index) => (index === 0 ? [part] : [by, part]));

function PhaseFacts({ run, node }: { run: RunView; node: PhaseNode }): JSX.Element {
  const { record, planned, parent } = node;
  const { conditions = [], repeat, instance, concurrency, needs } = planned;
  return (
    <dl class="facts plain">
      <Fact name="Time">
        <Elapsed from={record.startedAt} to={record.finishedAt} />
      </Fact>
      <Fact name="Personas">{planned.personas.join(', ')}</Fact>
      <Fact name="Model">{planned.model}</Fact>
      <Fact name="Policy">
        {planned.policy === null ? 'not gated' : `${planned.policy}${planned.policyFallback ? ' (fallback)' : ''}`}
      </Fact>
      {record.usage.calls > 0 && <Fact name="Tokens">{tokens(record.usage)}</Fact>}
      {needs.length > 0 && <Fact name="Needs">{needs.join(', ')}</Fact>}
      {conditions.length > 0 && (
        <Fact name="Only if">
          {joined(
            conditions.map(({ text }) => code(text)),
            ' and ',
          )}
        </Fact>
      )}
      {repeat !== undefined && (
        <Fact name={repeat.isMatrix ? 'For each combination of' : 'For each of'}>
          {joined(
            Object.entries(repeat.lists).map(([name, list]) => (
              <>
                {repeat.isMatrix && `${name}: `}
                {code(typeof list === 'string' ? list : JSON.stringify(list))}
              </>
            )),
            ', ',
          )}
          {repeat.parallel !== null && `, ${repeat.parallel} at a time`}
        </Fact>
      )}
      {instance !== undefined && (
        <Fact name={`Instance of ${instance.of} for`}>
          {code(typeof instance.item === 'object' ? JSON.stringify(instance.item) : String(instance.item))}
        </Fact>
      )}
      {instance === undefined && parent !== undefined && <Fact name="Part of">{parent.id}</Fact>}
      {concurrency !== undefined && (
        <Fact name="Group">
          {concurrency.group}, {concurrency.limit} at a time
        </Fact>
      )}
      <Fact name="Rework">
        {reworkOf(record)} of {planned.rework}
        {run.log.takings.length > 0 && ', counted since it was taken up'}
      </Fact>
      <Fact name="Faults">
        {record.faults}; {count(planned.attempts, 'attempt')} for each job
      </Fact>
      {record.commit !== null && <Fact name="Commit">{code(record.commit.slice(0, 12))}</Fact>}
      {planned.description !== '' && (
        <Fact name="About" wide>
          {planned.description}
        </Fact>
      )}
    </dl>
  );
}

/** The jobs that carry the phase, each with its page in Bull Board. */
function Jobs({ run, node: { id, record } }: { run: RunView; node: PhaseNode }): JSX.Element | null {
  const path = `/api/runs/${run.id}/phases/${encodeURIComponent(id)}/jobs`;
  const { value: found, fault } = useAsked<PhaseJobs>(path, `${record.status} ${record.round}`);
  if (fault !== undefined) return <p class="banner bad">The jobs cannot be read: {fault}</p>;
  if (found === undefined || found.jobs.length === 0) return null;
  return (
    <Table
      caption={`Jobs of ${id} in the queues`}
      columns={['Queue', 'Job', 'State', { name: 'Attempts', kind: 'number' }]}
      rows={found.jobs.map(({ queue, id: jobId, name, state, attempts, href: page }) => ({
        key: jobId,
        cells: [
          queue,
          <a href={page} title={jobId}>
            {name}
          </a>,
          words(state),
          String(attempts),
        ],
      }))}
    />
  );
}

/** What stands in the way, from the last round; all the rest is in the gates tab. */
function LastRound({ node: { record } }: { run: RunView; node: PhaseNode }): JSX.Element | null {
  const last = record.rounds.at(-1);
  if (last === undefined) return null;
  const judged = judgedBy(last.verdict);
  const bad = judged.filter(isBad);
  const good = judged.filter(isGood).length;
  return (
    <>
      <p>
        Round {last.round + 1}: <Pill status={last.verdict.verdict} />{' '}
        <span class="muted">
          {judged.length === 0 ? 'nothing was judged' : `${good} of ${judged.length} judged things passed`}
          {bad.length > 0 && `, ${bad.length} did not`}
        </span>
      </p>
      {bad.length > 0 && (
        <ul class="problems">
          {bad.map((each) => (
            <li key={`${each.group} ${each.name} ${each.about}`}>
              <Pill status={each.outcome} /> <strong>{each.name}</strong> <span class="text">{each.message}</span>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
