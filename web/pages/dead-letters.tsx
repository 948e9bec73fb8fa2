import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { z } from 'zod';
import type { DeadLetters as Answer } from '../../src/producer/api-schemas.ts';
import { ask, messageOf } from '../lib/api.ts';
import { count, words } from '../lib/format.ts';
import { href } from '../lib/route.ts';
import { useEvery } from '../lib/use-every.ts';
import { Banner, OriginMarks, Pill, Text, When } from '../ui/basic.tsx';
import { Table } from '../ui/table.tsx';

type Letter = z.infer<typeof Answer>['dead'][number];

const REFRESH_MS = 15_000;
const MOST_ROWS = 50;

/** Phases that failed for good, over all runs. A run goes on from its own page. */
export function DeadLetters(): JSX.Element {
  const [dead, setDead] = useState<Letter[]>();
  const [fault, setFault] = useState<string>();
  useEvery(REFRESH_MS, async (isStopped) => {
    try {
      const found = await ask<z.infer<typeof Answer>>('/api/dead');
      if (isStopped()) return;
      setDead(found.dead);
      setFault(undefined);
    } catch (err) {
      if (!isStopped()) setFault(messageOf(err));
    }
  });
  return (
    <>
      <h2>Dead letters</h2>
      {fault !== undefined && <Banner kind="bad">The dead letters cannot be read: {fault}</Banner>}
      {dead?.length === 0 && <p class="muted">No phase has failed for good.</p>}
      {dead !== undefined && dead.length > 0 && (
        <>
          <Table
            caption="Phases that failed for good"
            hideCaption
            columns={['When', 'Run', 'Phase', 'Persona', 'Why']}
            rows={dead
              .slice(0, MOST_ROWS)
              .map((letter) => ({ key: `${letter.runId} ${letter.phase}`, cells: cellsOf(letter) }))}
          />
          <p class="muted">
            {dead.length > MOST_ROWS && `The newest ${MOST_ROWS} of ${dead.length}. `}
            {count(new Set(dead.map(({ runId }) => runId)).size, 'run')} can go on: resume each on its page, or all with{' '}
            <code>maestro dead --all</code>.
          </p>
        </>
      )}
    </>
  );
}

const cellsOf = (letter: Letter): JSX.Element[] => [
  <When at={letter.at} />,
  <span>
    <a href={href('runs', letter.runId)}>{letter.workflow}</a>{' '}
    <Pill status={letter.runStatus}>{words(letter.runStatus)}</Pill> <OriginMarks of={letter} />
  </span>,
  <a href={href('runs', letter.runId, 'overview', letter.phase)}>{letter.phase}</a>,
  <span>
    {letter.persona ?? '–'}
    {letter.attempts !== null && <span class="muted"> attempt {letter.attempts}</span>}
  </span>,
  <Text>{letter.error}</Text>,
];
