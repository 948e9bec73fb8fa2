import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { count, millis, seconds, words } from '../lib/format.ts';
import type { RunView, TabProps } from '../lib/live-run.ts';
import { shownStatus } from '../lib/model.ts';
import { href } from '../lib/route.ts';
import { Empty, signOf, useTick } from '../ui/basic.tsx';
import { Table } from '../ui/table.tsx';
import {
  KINDS,
  KIND_WORDS,
  type Kind,
  type Line,
  type Span,
  type Timeline,
  WAITING,
  drawn,
  ticksOf,
  timelineOf,
  totalsOf,
} from './timeline-model.ts';

const PAGE = 50;
const FINEST = 1500;

/** Who worked when: waiting against working, and the model against tools against gates. */
export function TimelineTab({ run }: TabProps): JSX.Element {
  const isRunning = run.detail.run.finishedAt === null;
  const [scale, setScale] = useState(1);
  const [most, setMost] = useState(PAGE);
  useTick(isRunning);
  const timeline = timelineOf(run, Date.now());
  const { lines } = timeline;
  if (lines.length === 0) return <Empty title="Nothing has started yet." />;
  const unrecorded = lines.filter(({ isRecorded, lanes }) => !isRecorded && lanes.length === 1).length;
  return (
    <>
      <div class="timeline-head">
        <Legend lines={lines} />
        <div class="buttons" role="group" aria-label="Scale">
          {[1, 2, 4, 8].map((each) => (
            <button key={each} class="quiet" aria-pressed={each === scale} onClick={() => setScale(each)}>
              {each}×
            </button>
          ))}
        </div>
      </div>
      <Chart run={run} timeline={timeline} lines={lines.slice(0, most)} scale={scale} />
      {lines.length > most && (
        <p>
          <button onClick={() => setMost(most + PAGE)}>
            Show {Math.min(PAGE, lines.length - most)} more of {lines.length}
          </button>
        </p>
      )}
      {unrecorded > 0 && (
        <p class="muted">
          Of {count(unrecorded, 'phase')} it was not recorded what their time went to: they are drawn as one bar.
        </p>
      )}
      <Totals run={run} lines={lines} />
    </>
  );
}

function Legend({ lines }: { lines: readonly Line[] }): JSX.Element {
  const used = new Set(lines.flatMap(({ lanes }) => lanes.flatMap(({ spans }) => spans.map(({ kind }) => kind))));
  return (
    <ul class="legend" aria-label="Colours">
      {KINDS.filter((kind) => used.has(kind)).map((kind) => (
        <li key={kind}>
          <span class={`swatch ${kind}`} aria-hidden="true" /> {KIND_WORDS[kind]}
        </li>
      ))}
    </ul>
  );
}

interface ChartProps {
  run: RunView;
  timeline: Timeline;
  lines: readonly Line[];
  scale: number;
}

const part = (length: number, { from, to }: Timeline): string => `${((100 * length) / (to - from)).toFixed(3)}%`;

function Chart({ run, timeline, lines, scale }: ChartProps): JSX.Element {
  const ticks = ticksOf(timeline, 7 * scale);
  return (
    <div class="scroll timeline" tabIndex={0} role="region" aria-label="Timeline">
      <div class="timeline-grid" style={{ width: `${scale * 100}%` }}>
        <div class="lane axis" aria-hidden="true">
          <div class="lane-name" />
          <div class="ticks">
            {ticks.map((tick) => (
              <span key={tick} style={{ left: part(tick, timeline) }}>
                {seconds(tick / 1000).replace('.0 s', ' s')}
              </span>
            ))}
          </div>
        </div>
        <ol class="timeline-lines">
          {lines.map((line) => (
            <LineRow key={line.node.id} run={run} timeline={timeline} line={line} scale={scale} />
          ))}
        </ol>
      </div>
    </div>
  );
}

function LineRow({ run, timeline, line, scale }: Omit<ChartProps, 'lines'> & { line: Line }): JSX.Element {
  const { node, lanes } = line;
  const status = shownStatus(node);
  return (
    <li class="timeline-line">
      {lanes.map((lane, index) => (
        <div key={lane.key} class={`lane ${index === 0 ? 'own' : ''}`}>
          <div class="lane-name">
            {index === 0 ? (
              <>
                <span class={`sign ${status}`} aria-hidden="true">
                  {signOf(status)}
                </span>
                <a href={href('runs', run.id, 'overview', node.id)} title={node.id}>
                  {node.id}
                </a>
                <span class="hidden">{words(status)}</span>
              </>
            ) : (
              <span title={lane.name}>{lane.name}</span>
            )}
          </div>
          <div class="track" role="img" aria-label={`${lane.name}: ${spoken(lane.spans)}`}>
            {index === 0 && (
              <Bar span={{ kind: 'work', from: line.from, to: line.to }} timeline={timeline} name="whole" />
            )}
            {drawn(lane.spans, (timeline.to - timeline.from) / (FINEST * scale)).map((span) => (
              <Bar key={`${span.kind} ${span.from}`} span={span} timeline={timeline} name={span.kind} />
            ))}
          </div>
        </div>
      ))}
    </li>
  );
}

const Bar = ({ span, timeline, name }: { span: Span; timeline: Timeline; name: string }): JSX.Element => (
  <span
    class={`bar ${name}`}
    title={name === 'whole' ? undefined : `${KIND_WORDS[span.kind]}: ${millis(span.to - span.from)}`}
    style={{ left: part(span.from - timeline.from, timeline), width: part(span.to - span.from, timeline) }}
  />
);

function spoken(spans: readonly Span[]): string {
  const totals = totalsOf([{ key: '', name: '', spans: [...spans] }]);
  // What took less than a millisecond was there all the same.
  const told = KINDS.filter((kind) => spans.some((span) => span.kind === kind)).map(
    (kind) => `${KIND_WORDS[kind]} ${millis(totals[kind])}`,
  );
  return told.length === 0 ? 'nothing recorded' : told.join(', ');
}

const TOLD: readonly Kind[] = ['queue', 'wait', 'model', 'tools', 'gates', 'approval', 'question'];
const MOST_ROWS = 100;

/** The same in numbers. */
function Totals({ run, lines }: { run: RunView; lines: readonly Line[] }): JSX.Element {
  const shown = lines.slice(0, MOST_ROWS);
  const all = totalsOf(lines.flatMap(({ lanes }) => lanes));
  const kinds = TOLD.filter((kind) => all[kind] > 0);
  const waited = kinds.filter((kind) => WAITING.has(kind)).reduce((sum, kind) => sum + all[kind], 0);
  const worked = kinds.filter((kind) => !WAITING.has(kind)).reduce((sum, kind) => sum + all[kind], 0);
  const cells = (totals: Record<Kind, number>): string[] =>
    kinds.map((kind) => (totals[kind] === 0 ? '' : millis(totals[kind])));
  return (
    <>
      <h2>Where the time went</h2>
      {worked > 0 && (
        <p class="muted">
          In all {millis(worked)} of work and {millis(waited)} of waiting; what went on side by side counts for each.
        </p>
      )}
      <Table
        caption={lines.length > MOST_ROWS ? `The first ${MOST_ROWS} of ${lines.length} phases` : 'Time by phase'}
        hideCaption={lines.length <= MOST_ROWS}
        columns={[
          'Phase',
          { name: 'From start to end', kind: 'number' },
          ...kinds.map((kind) => ({ name: KIND_WORDS[kind], kind: 'number' as const })),
        ]}
        rows={[
          ...shown.map(({ node, from, to, lanes, isRecorded }) => ({
            key: node.id,
            cells: [
              <a href={href('runs', run.id, 'overview', node.id)}>{node.id}</a>,
              <span>
                {millis(to - from)}
                {!isRecorded && lanes.length > 1 && <span class="muted"> (in part not recorded)</span>}
              </span>,
              ...cells(totalsOf(lanes)),
            ],
          })),
          { key: 'all', kind: 'sum', cells: ['All phases', '', ...cells(all)] },
        ]}
      />
    </>
  );
}
