import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { type RunView, useRun } from '../lib/live-run.ts';
import { dollars, paid, tokens, until, words } from '../lib/format.ts';
import { href } from '../lib/route.ts';
import { Controls } from '../run/controls.tsx';
import { Decisions } from '../run/decisions.tsx';
import { TABS } from '../run/tabs.ts';
import { Banner, Elapsed, Empty, Fact, Loading, Pill, OriginMarks, Text, When } from '../ui/basic.tsx';

/** Inputs that are longer, in characters, have a line of their own. */
const SHORT = 60;

export function RunPage({ id, segments }: { id: string; segments: string[] }): JSX.Element {
  const { view, fault, isLive } = useRun(id);
  const [tabId = 'overview', ...rest] = segments;
  const run = view?.detail.run;
  useEffect(() => {
    document.title =
      run === undefined ? 'Run · Maestro Fleet' : `${words(run.status)} · ${run.workflow} · Maestro Fleet`;
  }, [run?.status, run?.workflow]);
  if (view === undefined)
    return (
      <>
        <Crumb id={id} />
        {fault === undefined ? <Loading what="the run" /> : <Missing fault={fault} />}
      </>
    );
  const tab = TABS.find((each) => each.id === tabId);
  return (
    <>
      <Crumb id={id} />
      <Title view={view} />
      {fault !== undefined && <Banner kind="bad">{fault} What is shown may be old.</Banner>}
      {!isLive && fault === undefined && (
        <Banner>The connection was lost; it is tried again. What is shown may be old.</Banner>
      )}
      <Banners view={view} />
      <Facts view={view} />
      <Decisions run={view} />
      <Tabs view={view} current={tab?.id} />
      <div class="tab">
        {tab === undefined ? <Empty title="There is no such tab." /> : <tab.view run={view} rest={rest} />}
      </div>
    </>
  );
}

const Missing = ({ fault }: { fault: string }): JSX.Element => (
  <>
    <h1>Run</h1>
    <Banner kind="bad">{fault}</Banner>
    <p>
      <a href="#/">To the runs</a>
    </p>
  </>
);

const Crumb = ({ id }: { id: string }): JSX.Element => (
  <p class="crumb">
    <a href="#/">Runs</a> / <code>{id}</code>
  </p>
);

const Title = ({ view }: { view: RunView }): JSX.Element => {
  const { run, archived } = view.detail;
  return (
    <div class="title">
      <h1>{run.workflow}</h1>
      <Pill status={run.status} />
      <OriginMarks of={run} />
      {archived && <span class="pill archived">archived</span>}
      <Controls run={view} />
    </div>
  );
};

function Banners({ view }: { view: RunView }): JSX.Element {
  const { run, archived, startAt } = view.detail;
  const isDelayed = run.status === 'queued' && startAt !== null && Date.parse(startAt) > Date.now();
  return (
    <>
      {archived && (
        <Banner>
          <strong>Archived.</strong> This run has left Redis. It can be read, and not be changed; start a new one to go
          on.
        </Banner>
      )}
      {isDelayed && (
        <Banner>
          <strong>Waits for its time.</strong> It starts <When at={startAt} /> ({until(startAt)}).
        </Banner>
      )}
      {run.replayed === true && (
        <Banner kind="simulated">
          <strong>Replayed.</strong> The answers come from the recording of an earlier run: no model was asked, and
          nothing was bought. Values from collectors were measured anew.
          {run.simulated &&
            ' The recorded answers are simulated: a script gave them, and no real model had a part in them.'}
        </Banner>
      )}
      {run.simulated && run.replayed !== true && (
        <Banner kind="simulated">
          <strong>Simulated.</strong>{' '}
          {run.provider === 'scripted'
            ? 'No real model had a part in this run: a script played the personas and spoke their judgements. Values from collectors were measured on the files.'
            : 'A script stood in for a model or a person in a part of this run.'}
        </Banner>
      )}
      {run.reason !== '' && (
        <Banner kind={run.status}>
          <Text>{run.reason}</Text>
        </Banner>
      )}
    </>
  );
}

function Facts({ view }: { view: RunView }): JSX.Element {
  const { run, inputs, startAt, budget, phases } = view.detail;
  const { usd, tokens: most } = run.budget ?? budget;
  const faults = phases.reduce((sum, phase) => sum + phase.faults, 0);
  const ended = phases.filter(({ finishedAt }) => finishedAt !== null).length;
  return (
    <dl class="facts">
      {run.startedAt === null && startAt !== null ? (
        <Fact name="Starts">
          <When at={startAt} />
        </Fact>
      ) : (
        <Fact name="Started">
          <When at={run.startedAt} />
        </Fact>
      )}
      <Fact name="Time">
        <Elapsed from={run.startedAt} to={run.finishedAt} />
      </Fact>
      <Fact name="Phases">
        {ended} of {phases.length} ended
      </Fact>
      {run.generation > 0 && (
        <Fact name="Taken up again">{run.generation === 1 ? 'once' : `${run.generation} times`}</Fact>
      )}
      {faults > 0 && <Fact name="Faults">{faults}</Fact>}
      <Fact name="Provider">{run.provider}</Fact>
      <Fact name="Tokens">
        {tokens(run.usage)}
        {most !== undefined && ` of ${most.toLocaleString()}`}
      </Fact>
      <Fact name="Cost">
        {paid(run)}
        {usd !== undefined && ` of ${dollars(usd)}`}
      </Fact>
      {Object.entries(inputs).map(([name, value]) => (
        <Fact key={name} name={`input: ${name}`} wide={String(value).length > SHORT}>
          {String(value)}
        </Fact>
      ))}
    </dl>
  );
}

/** Links, so that a tab can be opened beside, shared and gone back from. */
function Tabs({ view, current }: { view: RunView; current: string | undefined }): JSX.Element {
  const bar = useRef<HTMLElement>(null);
  useEffect(() => {
    const link = bar.current?.querySelector<HTMLElement>('[aria-current]');
    if (bar.current !== null && link !== null && link !== undefined)
      bar.current.scrollLeft = link.offsetLeft - (bar.current.clientWidth - link.offsetWidth) / 2;
  }, [current]);
  return (
    <nav class="tabs" aria-label="Run" ref={bar}>
      {TABS.map(({ id, name }) => (
        <a key={id} href={href('runs', view.id, id)} aria-current={id === current ? 'page' : undefined}>
          {name}
        </a>
      ))}
    </nav>
  );
}
