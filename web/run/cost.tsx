import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { RunCosts } from '../../src/producer/api-cost-schemas.ts';
import { ask, messageOf } from '../lib/api.ts';
import { count, dollars } from '../lib/format.ts';
import type { RunView, TabProps } from '../lib/live-run.ts';
import { Banner, Empty, Fact, Loading, SimulatedMark } from '../ui/basic.tsx';
import { Chart } from '../ui/chart.tsx';
import { Table } from '../ui/table.tsx';
import { type Recorded, type Spent, spentByTurns, spentOf } from './cost-points.ts';

type Totals = Recorded['totals'];
const REFRESH_MS = 2000;

/** What the run used and cost over time, and what for. */
export function CostTab({ run }: TabProps): JSX.Element {
  const { costs, fault } = useCosts(run);
  const turns = run.log.turns.length;
  const recorded = costs?.recorded === true && costs.calls.length > 0 ? costs : undefined;
  const spent = useMemo(() => (recorded === undefined ? spentByTurns(run.log) : spentOf(recorded)), [recorded, turns]);
  if (costs === undefined)
    return fault === undefined ? (
      <Loading what="the costs" />
    ) : (
      <Banner kind="bad">The costs cannot be read: {fault}</Banner>
    );
  if (spent.times.length === 0)
    return !costs.recorded ? (
      <NotRecorded />
    ) : (
      <Empty title="No model has been called yet.">
        <p>Tokens and costs appear here with the first call.</p>
      </Empty>
    );
  return (
    <>
      {fault !== undefined && <Banner kind="bad">{fault} What is shown may be old.</Banner>}
      {costs.replayed && <Banner kind="simulated">Answers came from a recording: nothing was bought.</Banner>}
      {!costs.recorded && <NotRecorded />}
      {recorded !== undefined && <Summary costs={recorded} />}
      <Curves spent={spent} isFree={costs.simulated || costs.replayed} />
      <Budgets costs={costs} />
      {recorded !== undefined && <Groups costs={recorded} />}
    </>
  );
}

const NotRecorded = (): JSX.Element => (
  <Banner>
    Its calls are not recorded: the run called models before each call was, and what they cost is not known. Below is
    what its turns told, if they did.
  </Banner>
);

function useCosts(run: RunView): { costs: RunCosts | undefined; fault: string | undefined } {
  const [costs, setCosts] = useState<RunCosts>();
  const [fault, setFault] = useState<string>();
  // Turns are what costs; a while after one, so that a busy run is not asked for at each.
  const turns = run.log.turns.length;
  useEffect(() => {
    let isStopped = false;
    const load = async (): Promise<void> => {
      try {
        const found = await ask<RunCosts>(`/api/runs/${run.id}/costs`);
        if (isStopped) return;
        setCosts(found);
        setFault(undefined);
      } catch (err) {
        if (!isStopped) setFault(messageOf(err));
      }
    };
    const timer = window.setTimeout(() => void load(), costs === undefined ? 0 : REFRESH_MS);
    return () => {
      isStopped = true;
      window.clearTimeout(timer);
    };
  }, [run.id, turns, run.detail.run.status]);
  return { costs, fault };
}

const tokensOf = (totals: Totals): number =>
  totals.inputTokens + totals.outputTokens + totals.cacheReadTokens + totals.cacheWriteTokens;
const percent = (share: number | null): string => (share === null ? '–' : `${Math.round(share * 100)} %`);

function Money({ totals, isFree }: { totals: Totals; isFree: boolean }): JSX.Element {
  if (isFree && totals.costUsd === 0) return <span>none</span>;
  if (totals.costUsd === null) return <span>unknown ({count(totals.unpricedCalls, 'call')} without a price)</span>;
  return <span>{dollars(totals.costUsd)}</span>;
}

function Summary({ costs }: { costs: Recorded }): JSX.Element {
  const { totals } = costs;
  return (
    <dl class="facts">
      <Fact name="Cost">
        <Money totals={totals} isFree={costs.simulated || costs.replayed} /> {costs.simulated && <SimulatedMark />}
      </Fact>
      <Fact name="Calls">{totals.calls.toLocaleString()}</Fact>
      {totals.failedCalls > 0 && <Fact name="Refused calls">{totals.failedCalls.toLocaleString()}</Fact>}
      {totals.unknownCalls > 0 && (
        <Fact name="Calls that broke off">
          {totals.unknownCalls}, at most {totals.unknownTokens.toLocaleString()} tokens more
        </Fact>
      )}
      <Fact name="Tokens">{tokensOf(totals).toLocaleString()}</Fact>
      <Fact name="Input">{(totals.inputTokens + totals.cacheWriteTokens).toLocaleString()}</Fact>
      <Fact name="From the cache">{totals.cacheReadTokens.toLocaleString()}</Fact>
      <Fact name="Output">{totals.outputTokens.toLocaleString()}</Fact>
      <Fact name="Repeats that were cached">{percent(totals.cachedShare)}</Fact>
    </dl>
  );
}

const last = (values: readonly (number | null)[]): number => values.at(-1) ?? 0;

function Curves({ spent, isFree }: { spent: Spent; isFree: boolean }): JSX.Element {
  const { times, input, output, cached, usd } = spent;
  const tokens = useMemo(
    () => [
      { name: 'Input', colour: '--t-model', values: input },
      { name: 'From the cache', colour: '--t-tools', values: cached },
      { name: 'Output', colour: '--t-gates', values: output },
    ],
    [spent],
  );
  const money = useMemo(() => [{ name: 'Dollars', colour: '--t-approval', values: usd }], [spent]);
  const hasMoney = !isFree && usd.some((value) => value !== null && value > 0);
  return (
    <div class={`charts ${hasMoney ? 'two' : ''}`}>
      <figure>
        <figcaption>Tokens over time, added up</figcaption>
        <Chart
          label={`Tokens over time: ${last(input).toLocaleString()} of input, ${last(cached).toLocaleString()} from the cache, ${last(output).toLocaleString()} of output`}
          times={times}
          series={tokens}
          format={compact}
          isStepped
        />
      </figure>
      {hasMoney && (
        <figure>
          <figcaption>Cost over time, added up</figcaption>
          <Chart
            label={`Cost over time: ${dollars(last(usd))} in all`}
            times={times}
            series={money}
            format={dollars}
            isStepped
          />
        </figure>
      )}
    </div>
  );
}
const compact = (value: number): string => Intl.NumberFormat('en', { notation: 'compact' }).format(value);

const SCOPES = {
  run: 'This run',
  workflow_day: 'This workflow, today',
  fleet_day: 'The fleet, today',
} satisfies Record<RunCosts['budgets'][number]['scope'], string>;

/** How much is left of what may be spent. */
function Budgets({ costs: { budgets } }: { costs: RunCosts }): JSX.Element | null {
  const limits = budgets.flatMap(({ scope, tokens, usd }) =>
    [
      { key: `${scope} usd`, name: SCOPES[scope], ...usd, format: dollars },
      {
        key: `${scope} tokens`,
        name: SCOPES[scope],
        ...tokens,
        format: (value: number) => `${value.toLocaleString()} tokens`,
      },
    ].filter(({ limit }) => limit !== null),
  );
  if (limits.length === 0) return null;
  return (
    <>
      <h2>Budgets</h2>
      <ul class="budgets">
        {limits.map(({ key, name, limit, spent, reserved, format }) => (
          <li key={key}>
            <span>{name}</span>
            <meter
              min={0}
              max={limit ?? 1}
              high={(limit ?? 1) * 0.8}
              value={spent + reserved}
              aria-label={`${name}: ${format(spent)} of ${format(limit ?? 0)}`}
            />
            <span class="num">
              {format(spent)} of {format(limit ?? 0)}
              {reserved > 0 && <span class="muted"> and {format(reserved)} set aside for calls under way</span>}
            </span>
          </li>
        ))}
      </ul>
    </>
  );
}

function Groups({ costs }: { costs: Recorded }): JSX.Element {
  const isFree = costs.simulated || costs.replayed;
  const groups = [
    ['Phase', costs.byPhase],
    ['Persona', costs.byPersona],
    ['Model', costs.byModel],
  ] as const;
  return (
    <>
      {groups.map(([name, rows]) => (
        <Table
          key={name}
          caption={`By ${name.toLowerCase()}`}
          columns={[
            name,
            ...['Calls', 'Input', 'From the cache', 'Output', 'Tokens', 'Cost'].map((each) => ({
              name: each,
              kind: 'number' as const,
            })),
          ]}
          rows={rows
            .toSorted((a, b) => tokensOf(b.totals) - tokensOf(a.totals))
            .map(({ key, totals }) => ({
              key,
              cells: [
                key,
                totals.calls.toLocaleString(),
                (totals.inputTokens + totals.cacheWriteTokens).toLocaleString(),
                totals.cacheReadTokens.toLocaleString(),
                totals.outputTokens.toLocaleString(),
                tokensOf(totals).toLocaleString(),
                <Money totals={totals} isFree={isFree} />,
              ],
            }))}
        />
      ))}
    </>
  );
}
