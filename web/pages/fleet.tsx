import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { FleetQueue, FleetStatus } from '../../src/producer/fleet-schemas.ts';
import type { CostTotals } from '../../src/shared/call-ledger.ts';
import type { WorkerStanding } from '../../src/shared/worker-registry.ts';
import { ask, messageOf } from '../lib/api.ts';
import { count, dollars, millis, number, words } from '../lib/format.ts';
import { measuredMinutes, withGaps } from '../lib/gaps.ts';
import { useEvery } from '../lib/use-every.ts';
import { Banner, Elapsed, Empty, Fact, Loading, Pill, SimulatedMark, Text } from '../ui/basic.tsx';
import { Chart } from '../ui/chart.tsx';
import { type Row, Table } from '../ui/table.tsx';
import { DeadLetters } from './dead-letters.tsx';

const REFRESH_MS = 4000;
const MIB = 1024 ** 2;
const MINUTE_S = 60;

/** Who works, what waits, how fast it goes, what holds it up, and what it costs today. */
export function FleetPage(): JSX.Element {
  const { fleet, fault } = useFleet();
  useEffect(() => {
    document.title = 'Fleet · Maestro Fleet';
  }, []);
  return (
    <>
      <div class="title">
        <h1>Fleet</h1>
      </div>
      {fault !== undefined && <Banner kind="bad">{fault}</Banner>}
      {fleet === undefined ? fault === undefined && <Loading what="the fleet" /> : <Fleet fleet={fleet} />}
    </>
  );
}

function Fleet({ fleet }: { fleet: FleetStatus }): JSX.Element {
  const idle = fleet.queues.filter((queue) => !isBusy(queue));
  const unserved = fleet.queues.filter(({ workers, depth }) => workers === 0 && depth.waiting > 0);
  return (
    <>
      {unserved.map(({ queue, depth }) => (
        <Banner key={queue} kind="bad">
          No worker takes the jobs of <code>{queue}</code>: {count(depth.waiting, 'job')} waiting.
        </Banner>
      ))}
      <Facts fleet={fleet} />
      <h2>Workers</h2>
      {fleet.workers.length === 0 ? (
        <Empty title="No worker is running.">
          <p>
            Start one with <code>maestro worker</code>.
          </p>
        </Empty>
      ) : (
        <Table caption="Worker processes" hideCaption columns={WORKER_COLUMNS} rows={fleet.workers.map(workerRow)} />
      )}
      <h2>Work over time</h2>
      <Charts fleet={fleet} />
      <h2>Queues</h2>
      <Table
        caption="Queues with jobs"
        hideCaption
        columns={QUEUE_COLUMNS}
        rows={fleet.queues.filter(isBusy).map(queueRow)}
      />
      {idle.length > 0 && <p class="muted">Without jobs: {idle.map(({ queue }) => queue).join(', ')}.</p>}
      <h2>Models</h2>
      <Limits fleet={fleet} />
      <DeadLetters />
    </>
  );
}

const isBusy = ({ depth, perMinute60 }: FleetQueue): boolean =>
  perMinute60 > 0 || Object.values(depth).some((jobs) => jobs > 0);

function Facts({ fleet }: { fleet: FleetStatus }): JSX.Element {
  const { workers, runs, today } = fleet;
  const talks = workers.reduce((sum, { conversations }) => sum + conversations, 0);
  const draining = workers.filter(({ state }) => state === 'draining').length;
  const shown = Object.entries(runs).filter(([, those]) => those > 0);
  return (
    <dl class="facts">
      <Fact name="Workers">
        {workers.length}
        {draining > 0 && `, ${draining} draining`}
      </Fact>
      <Fact name="Conversations">{talks}</Fact>
      <Fact name="Jobs ended a minute">
        {number(fleet.queues.reduce((sum, { perMinute5 }) => sum + perMinute5, 0))} <small>over 5 minutes</small>
      </Fact>
      <Fact name="Spent today (UTC)">
        <Spent totals={today.paid} />
        {today.free !== null && (
          <>
            {' '}
            <small>
              and {count(today.free.calls, 'call')} at no cost {today.free.simulatedCalls > 0 && <SimulatedMark />}
            </small>
          </>
        )}
      </Fact>
      <Fact name="Runs" wide>
        {shown.length === 0
          ? 'none'
          : shown.map(([status, those]) => (
              <span key={status} class="nowrap">
                <Pill status={status}>
                  {those} {words(status)}
                </Pill>{' '}
              </span>
            ))}
        {shown.length > 0 && <small>simulated and replayed ones are counted with the others</small>}
      </Fact>
    </dl>
  );
}

/** A price that nobody knows is never guessed; nothing was asked of a real model on a day without an account. */
function Spent({ totals }: { totals: CostTotals | null }): JSX.Element {
  if (totals === null) return <span>nothing</span>;
  const { costUsd, unknownUsd, calls } = totals;
  if (costUsd === null) return <span>unknown: {count(totals.unpricedCalls, 'call')} without a price</span>;
  const more = (unknownUsd ?? 0) > 0 ? `, at most ${dollars(costUsd + (unknownUsd ?? 0))}` : '';
  return (
    <span>
      {dollars(costUsd)}
      {more} in {count(calls, 'call')}
    </span>
  );
}

const right = (name: string): { name: string; kind: 'number' } => ({ name, kind: 'number' });
const WORKER_COLUMNS = [
  'Worker',
  'State',
  'Serves',
  right('Jobs'),
  right('Talks'),
  right('Done'),
  right('Failed'),
  right('CPU'),
  right('Memory'),
  right('Loop delay p99'),
  'Up',
  'Version',
];

const workerRow = (worker: WorkerStanding): Row => {
  const { personas, gates, concurrency } = worker;
  const own = personas.length === 1 ? (personas[0] ?? '') : count(personas.length, 'persona');
  const serves = [...(personas.length === 0 ? [] : [`${own} × ${concurrency}`]), ...(gates ? ['gates'] : [])].join(
    ', ',
  );
  return {
    key: worker.id,
    cells: [
      <span class="nowrap">
        {worker.host} <span class="muted">{worker.pid}</span>
      </span>,
      <Pill status={worker.state === 'working' ? 'running' : 'paused'}>{worker.state}</Pill>,
      <span title={personas.join(', ')}>{serves}</span>,
      Object.values(worker.active).reduce((sum, jobs) => sum + jobs, 0),
      worker.maxConversations === undefined
        ? worker.conversations
        : `${worker.conversations}/${worker.maxConversations}`,
      worker.done,
      worker.failed,
      `${Math.round(worker.cpu * 100)}%`,
      `${Math.round(worker.rssBytes / MIB)} MiB`,
      `${worker.loopDelayP99Ms} ms`,
      <Elapsed from={worker.startedAt} to={null} />,
      worker.version,
    ],
  };
};

const QUEUE_COLUMNS = [
  'Queue',
  right('Waiting'),
  right('Active'),
  right('Delayed'),
  right('Failed'),
  right('A minute, over 5'),
  right('A minute, over 60'),
  right('Workers'),
];

const queueRow = ({ queue, depth, workers, perMinute5, perMinute60 }: FleetQueue): Row => ({
  key: queue,
  cells: [
    <a href={`/queues/queue/${encodeURIComponent(queue)}`}>{queue}</a>,
    depth.waiting,
    depth.active,
    depth.delayed,
    depth.failed,
    perMinute5,
    perMinute60,
    workers,
  ],
});

/** Jobs are counted in whole numbers: what stands between them on an axis has no name. */
const whole = (value: number): string => (Number.isInteger(value) ? String(value) : '');
const sumOf = (values: readonly number[]): number => values.reduce((sum, jobs) => sum + jobs, 0);

function Charts({ fleet }: { fleet: FleetStatus }): JSX.Element {
  const { history, throughput } = fleet;
  const times = useMemo(() => history.map(({ at }) => Date.parse(at) / 1000), [history]);
  const depth = useMemo(
    () =>
      withGaps(times, [
        { name: 'waiting', colour: '--warn', values: history.map(({ waiting }) => waiting) },
        { name: 'active', colour: '--accent', values: history.map(({ active }) => active) },
      ]),
    [history, times],
  );
  const ended = useMemo(() => {
    const until = Date.parse(throughput.until) / 1000;
    const { done, failed } = throughput;
    const minutes = done.map((_, index) => until - (done.length - 1 - index) * MINUTE_S);
    return {
      times: minutes,
      series: [
        { name: 'done', colour: '--good', values: measuredMinutes(minutes, done, times) },
        { name: 'failed', colour: '--bad', values: measuredMinutes(minutes, failed, times) },
      ],
    };
  }, [throughput, times]);
  const now = history.at(-1);
  const depthText = `Jobs of personas and gates, every ten seconds: ${now?.waiting ?? 0} waiting and ${now?.active ?? 0} active now`;
  const endedText = `Jobs of personas and gates that ended in each minute of the last hour: ${sumOf(throughput.done)} done, ${sumOf(throughput.failed)} failed`;
  return (
    <div class="charts two">
      <figure>
        <figcaption>{depthText}.</figcaption>
        {history.length < 2 ? (
          <p class="muted">The line begins with the second look.</p>
        ) : (
          <Chart label={depthText} {...depth} format={whole} />
        )}
      </figure>
      <figure>
        <figcaption>{endedText}.</figcaption>
        <Chart label={endedText} {...ended} format={whole} />
      </figure>
    </div>
  );
}

function Limits({ fleet }: { fleet: FleetStatus }): JSX.Element {
  const { models, endpoints } = fleet.limits;
  if (models.length === 0) return <p class="muted">No model was called within the last day.</p>;
  const rows = models.map((model): Row => {
    const endpoint = endpoints.find((each) => each.endpoint === model.endpoint);
    const isOpen = endpoint !== undefined && endpoint.breaker !== 'closed';
    const state = isOpen ? 'failed' : model.pausedForMs > 0 ? 'paused' : 'running';
    const said = isOpen
      ? endpoint.breaker === 'open'
        ? `not called for ${millis(endpoint.opensForMs)}`
        : 'one call tries'
      : model.pausedForMs > 0
        ? `paused for ${millis(model.pausedForMs)}`
        : 'is called';
    const budgets = model.budgets.map(
      ({ kind, left, perMinute }) => `${left.toLocaleString()} of ${perMinute.toLocaleString()} ${kind}`,
    );
    return {
      key: `${model.model}@${model.endpoint}`,
      cells: [
        model.model,
        <code>{model.endpoint}</code>,
        <Pill status={state}>{said}</Pill>,
        model.callsUnderWay,
        model.waiting,
        model.parked,
        budgets.length === 0 ? 'not known' : budgets.join(', '),
        <Text>{isOpen ? endpoint.error : model.reason}</Text>,
      ],
    };
  });
  const columns = [
    'Model',
    'Endpoint',
    'State',
    right('Calls'),
    right('Waiting'),
    right('Parked'),
    'Left this minute',
    'Why',
  ];
  return <Table caption="Models and what limits them" hideCaption columns={columns} rows={rows} />;
}

function useFleet(): { fleet: FleetStatus | undefined; fault: string | undefined } {
  const [fleet, setFleet] = useState<FleetStatus>();
  const [fault, setFault] = useState<string>();
  useEvery(REFRESH_MS, async (isStopped) => {
    try {
      const found = await ask<FleetStatus>('/api/fleet');
      if (isStopped()) return;
      setFleet(found);
      setFault(undefined);
    } catch (err) {
      if (!isStopped()) setFault(messageOf(err));
    }
  });
  return { fleet, fault };
}
