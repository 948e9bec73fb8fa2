import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { RunList } from '../../src/producer/api-schemas.ts';
import type { RunRecord, RunStatus } from '../../src/shared/run-record.ts';
import { ask, messageOf } from '../lib/api.ts';
import { cost, tokens, words } from '../lib/format.ts';
import { type PageProps, href, setQuery } from '../lib/route.ts';
import { Banner, Elapsed, Empty, Loading, Pill, SimulatedMark, Text, When } from '../ui/basic.tsx';
import { type Row, Table } from '../ui/table.tsx';
import { RunPage } from './run.tsx';

const REFRESH_MS = 4000;
const PAGE = 50;
const STATUSES = [
  'queued',
  'running',
  'awaiting_approval',
  'paused',
  'passed',
  'passed_with_warnings',
  'blocked',
  'failed',
  'cancelled',
] as const satisfies readonly RunStatus[];

export function RunsPage({ segments, query }: PageProps): JSX.Element {
  const [id] = segments;
  return id === undefined ? <Runs query={query} /> : <RunPage key={id} id={id} segments={segments.slice(1)} />;
}

interface Filter {
  status: string;
  workflow: string;
}
const filterOf = (query: URLSearchParams): Filter => ({
  status: query.get('status') ?? '',
  workflow: query.get('workflow') ?? '',
});

function Runs({ query }: Pick<PageProps, 'query'>): JSX.Element {
  const [filter, setFilter] = useState(filterOf(query));
  const { list, fault, pages, more } = useRuns(filter);
  useEffect(() => {
    document.title = 'Runs · Maestro Fleet';
  }, []);
  const change = (changed: Partial<Filter>): void => {
    const next = { ...filter, ...changed };
    setFilter(next);
    setQuery({ ...next });
  };
  return (
    <>
      <div class="title">
        <h1>Runs</h1>
      </div>
      <div class="filter" role="search" aria-label="Runs">
        <label>
          Status{' '}
          <select value={filter.status} onChange={({ currentTarget }) => change({ status: currentTarget.value })}>
            {['', ...STATUSES].map((status) => (
              <option key={status} value={status}>
                {status === '' ? 'all' : words(status)}
              </option>
            ))}
          </select>
        </label>
      </div>
      {fault !== undefined && <Banner kind="bad">{fault}</Banner>}
      {list === undefined ? (
        fault === undefined && <Loading what="runs" />
      ) : list.runs.length === 0 ? (
        <NoRuns filter={filter} />
      ) : (
        <Table
          caption="Runs, newest first"
          columns={[
            'Status',
            'Workflow',
            'Run',
            'Started',
            'Time',
            { name: 'Tokens', kind: 'number' },
            { name: 'Cost', kind: 'number' },
            'Why',
          ]}
          rows={list.runs.map(rowOf)}
        />
      )}
      {list !== undefined && list.next !== null && (
        <p>
          <button onClick={more}>Show more</button> <span class="muted">{pages * PAGE} shown</span>
        </p>
      )}
    </>
  );
}

const NoRuns = ({ filter }: { filter: Filter }): JSX.Element => (
  <Empty title={filter.status === '' ? 'No runs yet.' : `No run is ${words(filter.status)}.`}>
    <p>
      Start one with <code>maestro run WORKFLOW</code> or <code>POST /api/workflows/NAME/execute</code>.
    </p>
  </Empty>
);

const rowOf = (run: RunRecord): Row => ({
  key: run.runId,
  cells: [
    <span class="nowrap">
      <Pill status={run.status} /> {run.simulated && <SimulatedMark />}
    </span>,
    run.workflow,
    <a href={href('runs', run.runId)}>
      <code>{run.runId}</code>
    </a>,
    <When at={run.startedAt ?? run.createdAt} />,
    <Elapsed from={run.startedAt} to={run.finishedAt} />,
    tokens(run.usage),
    run.simulated ? '–' : cost(run.usage),
    <Text>{run.reason}</Text>,
  ],
});

/** The pages of the list that are looked at, kept fresh. */
function useRuns(filter: Filter): {
  list: RunList | undefined;
  fault: string | undefined;
  pages: number;
  more: () => void;
} {
  const [list, setList] = useState<RunList>();
  const [fault, setFault] = useState<string>();
  const [pages, setPages] = useState(1);
  const asked = useRef(0);
  const key = JSON.stringify(filter);
  useEffect(() => setPages(1), [key]);
  useEffect(() => {
    let isStopped = false;
    const load = async (): Promise<void> => {
      const turn = (asked.current += 1);
      try {
        const found = await readPages(filter, pages);
        if (isStopped || turn !== asked.current) return;
        setList(found);
        setFault(undefined);
      } catch (err) {
        if (!isStopped) setFault(messageOf(err));
      }
    };
    void load();
    const timer = window.setInterval(() => document.visibilityState === 'visible' && void load(), REFRESH_MS);
    return () => {
      isStopped = true;
      window.clearInterval(timer);
    };
  }, [key, pages]);
  return { list, fault, pages, more: () => setPages(pages + 1) };
}

async function readPages(filter: Filter, pages: number): Promise<RunList> {
  const all: RunList = { runs: [], next: null, unreadable: [] };
  for (let page = 0; page < pages; page += 1) {
    const query = new URLSearchParams({ limit: String(PAGE) });
    for (const [name, value] of Object.entries(filter)) if (value !== '') query.set(name, String(value));
    if (all.next !== null) query.set('cursor', all.next);
    const { runs, next, unreadable } = await ask<RunList>(`/api/runs?${query}`);
    all.runs.push(...runs);
    all.unreadable.push(...unreadable);
    all.next = next;
    if (next === null) break;
  }
  return all;
}
