import type { JSX } from 'preact';
import type { RunChange, RunChanges } from '../../src/producer/files-schemas.ts';
import { count } from '../lib/format.ts';
import { href } from '../lib/route.ts';
import { useAsked, useText } from '../lib/use-asked.ts';
import { Banner, Empty, Loading, OriginMarks, Text, When } from '../ui/basic.tsx';
import { Diff, LineCounts } from '../ui/diff.tsx';
import { Table } from '../ui/table.tsx';
import type { TabProps } from '../lib/live-run.ts';

/** What each persona changed, round by round. */
export function ChangesTab({ run, rest }: TabProps): JSX.Element {
  const version = run.detail.phases.map((each) => `${each.commit}${each.rounds.length}`).join();
  const { value, fault } = useAsked<RunChanges>(`/api/runs/${run.id}/changes`, version);
  const [commit] = rest;
  if (fault !== undefined) return <Banner kind="bad">The changes cannot be listed: {fault}</Banner>;
  if (value === undefined) return <Loading what="the changes" />;
  if (value.changes.length === 0)
    return (
      <Empty title="Nothing has been changed yet.">
        <p>What a persona hands over is listed here, also when its gates block it.</p>
      </Empty>
    );
  const shown = value.changes.find((change) => change.commit === commit);
  if (commit !== undefined) return <Change run={run} change={shown} commit={commit} />;
  return (
    <>
      {value.truncated && (
        <Banner>There are more changes than are listed: clone the repository for all of them.</Banner>
      )}
      <Table
        caption={`${count(value.changes.length, 'change')}, newest first`}
        columns={[
          'When',
          'Phase',
          { name: 'Round', kind: 'number' },
          'Who',
          'What',
          { name: 'Files', kind: 'number' },
          { name: 'Lines', kind: 'number' },
        ]}
        rows={value.changes.map((change) => ({
          key: change.commit,
          cells: [
            <When at={change.at} />,
            change.phase ?? '–',
            change.round === null ? '–' : String(change.round + 1),
            <Who change={change} />,
            <a href={href('runs', run.id, 'changes', change.commit)}>
              <Text>{change.subject}</Text>
            </a>,
            change.files.length.toLocaleString(),
            <LineCounts lines={sumOf(change)} />,
          ],
        }))}
      />
    </>
  );
}

/** Binary files count no lines. */
const sumOf = ({ files }: RunChange): { added: number; deleted: number } =>
  files.reduce(
    (sum, { lines }) => ({ added: sum.added + (lines?.added ?? 0), deleted: sum.deleted + (lines?.deleted ?? 0) }),
    { added: 0, deleted: 0 },
  );

const Who = ({ change: { persona, editedBy, author, simulated, replayed } }: { change: RunChange }): JSX.Element => (
  <span>
    {persona ?? (editedBy === null ? author : `${editedBy} (by hand)`)} <OriginMarks of={{ simulated, replayed }} />
  </span>
);

interface ChangeProps {
  run: TabProps['run'];
  change: RunChange | undefined;
  commit: string;
}

function Change({ run, change, commit }: ChangeProps): JSX.Element {
  const path = `/api/runs/${run.id}/changes/${commit}/diff`;
  const { value, fault } = useText(change === undefined ? undefined : path);
  const back = (
    <p class="crumb">
      <a href={href('runs', run.id, 'changes')}>All changes</a> / <code>{commit.slice(0, 12)}</code>
    </p>
  );
  if (change === undefined)
    return (
      <>
        {back}
        <Empty title="The run has no such change." />
      </>
    );
  return (
    <>
      {back}
      <h2>
        <Text>{change.subject}</Text>
      </h2>
      <p class="muted">
        <Who change={change} />
        {change.phase !== null && `, phase ${change.phase}`}
        {change.round !== null && `, round ${change.round + 1}`}
        {change.attempt !== null && change.attempt > 1 && `, attempt ${change.attempt}`}, <When at={change.at} />,{' '}
        {count(change.files.length, 'file')} <LineCounts lines={sumOf(change)} />{' '}
        <a href={path} download={`${commit.slice(0, 12)}.diff`}>
          Download as a patch
        </a>
      </p>
      {fault !== undefined && <Banner kind="bad">The diff cannot be read: {fault}</Banner>}
      {value === undefined && fault === undefined && <Loading what="the diff" />}
      {typeof value === 'string' && <Diff text={value} folds={run.look.folds} id={commit} />}
    </>
  );
}
