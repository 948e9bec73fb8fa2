import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { RunList, WorkflowList } from '../../src/producer/api-schemas.ts';
import type { RunRecord, RunStatus } from '../../src/shared/run-record.ts';
import type { VerdictWord } from '../../src/shared/verdict.ts';
import { ask, messageOf } from '../lib/api.ts';
import { cost, count, tokens, words } from '../lib/format.ts';
import { refusalFor, useMe } from '../lib/me.ts';
import { type PageProps, href, setQuery } from '../lib/route.ts';
import { useEvery } from '../lib/use-every.ts';
import { Banner, Elapsed, Empty, Loading, Pill, OriginMarks, Text, When } from '../ui/basic.tsx';
import { type Row, Table } from '../ui/table.tsx';
import { Button } from '../ui/button.tsx';
import { RunPage } from './run.tsx';
import { StartPage } from './start.tsx';

/** No run has this id: it is where one is started. */
const NEW = 'new';
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
const VERDICTS = ['passed', 'passed_with_warnings', 'blocked', 'not_gated'] as const satisfies readonly VerdictWord[];

export function RunsPage({ segments, query }: PageProps): JSX.Element {
  const [id, name] = segments;
  if (id === NEW) return <StartPage name={name} />;
  return id === undefined ? <Runs query={query} /> : <RunPage key={id} id={id} segments={segments.slice(1)} />;
}

const FILTERS = ['status', 'workflow', 'persona', 'verdict', 'from', 'to', 'text'] as const;
type Filter = Record<(typeof FILTERS)[number], string>;
const NO_FILTER: Filter = { status: '', workflow: '', persona: '', verdict: '', from: '', to: '', text: '' };
const filterOf = (query: URLSearchParams): Filter => {
  const filter = { ...NO_FILTER };
  for (const name of FILTERS) filter[name] = query.get(name) ?? '';
  return filter;
};

function Runs({ query }: Pick<PageProps, 'query'>): JSX.Element {
  const [filter, setFilter] = useState(filterOf(query));
  const { list, fault, more, isMore } = useRuns(filter);
  useEffect(() => {
    document.title = 'Runs · Maestro Fleet';
  }, []);
  const change = (changed: Partial<Filter>): void => {
    const next = { ...filter, ...changed };
    setFilter(next);
    setQuery(next);
  };
  const shown = list?.runs.filter((run) => matches(run, filter.text)) ?? [];
  return (
    <>
      <div class="title">
        <h1>Runs</h1>
        <div class="buttons">
          <StartLink />
        </div>
      </div>
      <Filters filter={filter} change={change} />
      {fault !== undefined && <Banner kind="bad">{fault}</Banner>}
      {list !== undefined && list.unreadable.length > 0 && (
        <Banner>Another version stored these, and this one cannot read them: {list.unreadable.join(', ')}</Banner>
      )}
      {list === undefined && fault === undefined && <Loading what="runs" />}
      {list !== undefined && shown.length === 0 && <NoRuns filter={filter} isMore={list.next !== null} />}
      {shown.length > 0 && (
        <Table caption="Runs, newest first" hideCaption dropEmpty columns={COLUMNS} rows={shown.map(rowOf)} />
      )}
      {list !== undefined && list.next !== null && (
        <p>
          <button onClick={more} disabled={isMore}>
            {isMore ? 'Loading…' : 'Show more'}
          </button>{' '}
          <span class="muted">{count(list.runs.length, 'run')} loaded, there are older ones</span>
        </p>
      )}
    </>
  );
}

/** A link, for whoever may follow it. */
function StartLink(): JSX.Element {
  const refusal = refusalFor(useMe(), 'run');
  const label = 'Start a run';
  return refusal === undefined ? (
    <a class="button primary" href={href('runs', NEW)}>
      {label}
    </a>
  ) : (
    <Button label={label} refusal={refusal} onClick={() => undefined} />
  );
}

/** What is written on the page is searched; everything else is asked of the service. */
const matches = ({ runId, workflow, reason }: RunRecord, text: string): boolean =>
  `${runId} ${workflow} ${reason}`.toLowerCase().includes(text.trim().toLowerCase());

interface FiltersProps {
  filter: Filter;
  change: (changed: Partial<Filter>) => void;
}

function Filters({ filter, change }: FiltersProps): JSX.Element {
  const { workflows, personas } = useNames();
  const isSet = FILTERS.some((name) => filter[name] !== '');
  return (
    <div class="filter" role="search" aria-label="Runs">
      <Choice name="Status" options={STATUSES} value={filter.status} choose={(status) => change({ status })} />
      <Choice name="Workflow" options={workflows} value={filter.workflow} choose={(workflow) => change({ workflow })} />
      <Choice name="Persona" options={personas} value={filter.persona} choose={(persona) => change({ persona })} />
      <Choice name="Verdict" options={VERDICTS} value={filter.verdict} choose={(verdict) => change({ verdict })} />
      <label>
        From{' '}
        <input type="date" value={filter.from} onInput={({ currentTarget }) => change({ from: currentTarget.value })} />
      </label>
      <label>
        To <input type="date" value={filter.to} onInput={({ currentTarget }) => change({ to: currentTarget.value })} />
      </label>
      <label>
        Text{' '}
        <input
          type="search"
          value={filter.text}
          onInput={({ currentTarget }) => change({ text: currentTarget.value })}
        />
      </label>
      {isSet && (
        <button class="quiet" onClick={() => change(NO_FILTER)}>
          Clear
        </button>
      )}
    </div>
  );
}

interface ChoiceProps {
  name: string;
  options: readonly string[];
  value: string;
  choose: (value: string) => void;
}
/** What is chosen already is offered, whatever the service knows of it. */
const Choice = ({ name, options, value, choose }: ChoiceProps): JSX.Element => (
  <label>
    {name}{' '}
    <select value={value} onChange={({ currentTarget }) => choose(currentTarget.value)}>
      {[...new Set(['', ...options, value])].map((each) => (
        <option key={each} value={each}>
          {each === '' ? 'all' : words(each)}
        </option>
      ))}
    </select>
  </label>
);

/** The workflows that can be started here, and who has a part in them. */
function useNames(): { workflows: string[]; personas: string[] } {
  const [names, setNames] = useState<{ workflows: string[]; personas: string[] }>({ workflows: [], personas: [] });
  useEffect(() => {
    ask<WorkflowList>('/api/workflows').then(
      ({ workflows }) =>
        setNames({
          workflows: workflows.map(({ name }) => name),
          personas: [
            ...new Set(workflows.flatMap(({ phases }) => phases.flatMap((phase) => phase.personas))),
          ].toSorted(),
        }),
      // The list says what is wrong with the service; without names there is nothing to choose, and nothing else is lost.
      () => undefined,
    );
  }, []);
  return names;
}

function NoRuns({ filter, isMore }: { filter: Filter; isMore: boolean }): JSX.Element {
  const isFiltered = FILTERS.some((name) => filter[name] !== '');
  if (isFiltered)
    return (
      <Empty title={isMore ? 'No run that is loaded is like this.' : 'No run is like this.'}>
        <p>{isMore ? 'Older ones may be: show more.' : 'Change or clear the filter.'}</p>
      </Empty>
    );
  return (
    <Empty title="No runs yet.">
      <p>
        Start one <a href={href('runs', NEW)}>on this page</a>, with <code>maestro run WORKFLOW</code> or with{' '}
        <code>POST /api/workflows/NAME/execute</code>.
      </p>
    </Empty>
  );
}

const COLUMNS = [
  'Status',
  'Workflow',
  'Run',
  'Started',
  { name: 'Time', kind: 'number' },
  { name: 'Tokens', kind: 'number' },
  { name: 'Cost', kind: 'number' },
  'Why',
] as const;

const rowOf = (run: RunRecord): Row => ({
  key: run.runId,
  cells: [
    <span class="nowrap">
      <Pill status={run.status} /> <OriginMarks of={run} />
    </span>,
    run.workflow,
    <a href={href('runs', run.runId)}>
      <code>{run.runId}</code>
    </a>,
    <When at={run.startedAt ?? run.createdAt} />,
    <Elapsed from={run.startedAt} to={run.finishedAt} />,
    tokens(run.usage),
    run.simulated || run.replayed === true ? '–' : cost(run.usage),
    run.reason === '' ? '' : <Text>{run.reason}</Text>,
  ],
});

interface Runs {
  list: RunList | undefined;
  fault: string | undefined;
  more: () => void;
  isMore: boolean;
}

/** The pages of the list that are looked at, kept fresh. */
function useRuns(filter: Filter): Runs {
  const [list, setList] = useState<RunList>();
  const [fault, setFault] = useState<string>();
  const [pages, setPages] = useState(1);
  const [loaded, setLoaded] = useState(0);
  const asked = useRef(0);
  const query = queryOf(filter).toString();
  useEffect(() => setPages(1), [query]);
  useEvery(
    REFRESH_MS,
    async (isStopped) => {
      const turn = (asked.current += 1);
      try {
        const found = await readPages(query, pages);
        // Of answers that overtake each other the one to the last question counts.
        if (isStopped() || turn !== asked.current) return;
        setList(found);
        setLoaded(pages);
        setFault(undefined);
      } catch (err) {
        if (!isStopped()) setFault(messageOf(err));
      }
    },
    [query, pages],
  );
  return { list, fault, more: () => setPages(pages + 1), isMore: fault === undefined && loaded < pages };
}

/** Days are those of whoever looks; the service is told moments. The day that is the last is in it as a whole. */
function queryOf(filter: Filter): URLSearchParams {
  const query = new URLSearchParams({ limit: String(PAGE) });
  for (const name of ['status', 'workflow', 'persona', 'verdict'] as const)
    if (filter[name] !== '') query.set(name, filter[name]);
  if (filter.from !== '') query.set('from', dayOf(filter.from, 0));
  if (filter.to !== '') query.set('to', dayOf(filter.to, 1));
  return query;
}

function dayOf(day: string, later: number): string {
  const [year = 1970, month = 1, date = 1] = day.split('-').map(Number);
  return new Date(year, month - 1, date + later).toISOString();
}

async function readPages(query: string, pages: number): Promise<RunList> {
  const all: RunList = { runs: [], next: null, unreadable: [] };
  for (let page = 0; page < pages; page += 1) {
    const { runs, next, unreadable } = await ask<RunList>(
      `/api/runs?${query}${all.next === null ? '' : `&cursor=${all.next}`}`,
    );
    all.runs.push(...runs);
    all.unreadable.push(...unreadable);
    all.next = next;
    if (next === null) break;
  }
  return all;
}
