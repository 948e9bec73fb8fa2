import type { JSX } from 'preact';
import type { PhaseRecord, RoundRecord } from '../../src/shared/run-record.ts';
import { words } from '../lib/format.ts';
import type { RunView } from '../lib/live-run.ts';
import { href } from '../lib/route.ts';
import { SimulatedMark, signOf } from '../ui/basic.tsx';
import { type Judged, isBad, judgedBy } from './judged.ts';

interface Line {
  first: Judged;
  /** What came of it in each round; a round may not have known it. */
  rounds: (Judged | undefined)[];
}

function linesOf(rounds: readonly RoundRecord[]): Line[] {
  const lines = new Map<string, Line>();
  rounds.forEach(({ verdict }, index) => {
    for (const judged of judgedBy(verdict)) {
      const key = `${judged.group} ${judged.name} ${judged.about}`;
      const line = lines.get(key) ?? { first: judged, rounds: rounds.map(() => undefined) };
      line.first = judged;
      line.rounds[index] = judged;
      lines.set(key, line);
    }
  });
  return [...lines.values()];
}

/** Each thing the phase is judged by as a row, each round as a column: what rework changed is seen at a glance. */
export function History({ run, record }: { run: RunView; record: PhaseRecord }): JSX.Element {
  const { phase, rounds } = record;
  const lines = linesOf(rounds);
  const groups = [...new Set(lines.map(({ first }) => first.group))];
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={`Gates of ${phase} over its rounds`}>
      <table class="history">
        <thead>
          <tr>
            <th scope="col">Judged</th>
            <th scope="col">Required</th>
            {rounds.map((round) => (
              <th key={round.round} scope="col">
                <a
                  href={href('runs', run.id, 'gates', phase, round.round + 1)}
                  aria-label={`Evidence of round ${round.round + 1}`}
                >
                  Round {round.round + 1}
                </a>
                <div class="muted">{words(round.verdict.verdict)}</div>
              </th>
            ))}
          </tr>
        </thead>
        {groups.map((group) => (
          <tbody key={group}>
            <tr class="group">
              <th scope="rowgroup" colSpan={2 + rounds.length}>
                {group}
              </th>
            </tr>
            {lines
              .filter(({ first }) => first.group === group)
              .map((line) => (
                <HistoryRow key={`${line.first.name} ${line.first.about}`} line={line} rounds={rounds} />
              ))}
          </tbody>
        ))}
      </table>
    </div>
  );
}

const HistoryRow = ({
  line: { first, rounds: cells },
  rounds,
}: {
  line: Line;
  rounds: readonly RoundRecord[];
}): JSX.Element => (
  <tr class={isBad(cells.at(-1) ?? first) ? 'bad' : ''}>
    <th scope="row">
      {first.name}
      {first.isWarning && <span class="muted"> (warning)</span>}
      {first.about !== '' && <div class="muted">{first.about}</div>}
    </th>
    <td data-label="Required">
      <code>{first.required}</code>
    </td>
    {cells.map((cell, index) => (
      <td key={rounds[index]?.round ?? index} data-label={`Round ${(rounds[index]?.round ?? index) + 1}`}>
        {cell === undefined ? <span class="muted">not judged</span> : <Cell judged={cell} />}
      </td>
    ))}
  </tr>
);

const Cell = ({ judged: { outcome, values, message } }: { judged: Judged }): JSX.Element => (
  <div class={`outcome ${outcome}`} title={message}>
    <span class="word">
      <span aria-hidden="true">{signOf(outcome)}</span> {words(outcome)}
    </span>
    {values.map(({ metric, text, simulated }) => (
      <span key={metric} class="value num">
        {values.length > 1 && <span class="muted">{metric} </span>}
        {text} {simulated && <SimulatedMark />}
      </span>
    ))}
  </div>
);
