import type { JSX } from 'preact';
import type { RunView } from '../lib/live-run.ts';
import type { Wait } from '../lib/model.ts';
import { href } from '../lib/route.ts';

const MOST_HOLDERS = 5;

/** What a phase waits for, and who has it. */
export function WaitText({ run, wait: { group, limit, holders, ahead } }: { run: RunView; wait: Wait }): JSX.Element {
  const isParallel = group.startsWith(`${run.id}.g`);
  return (
    <div>
      {isParallel
        ? `At most ${limit} of these at a time. `
        : `Waits for a place in group ${group} (${limit} at a time). `}
      {holders.length > 0 && (
        <>
          Held by{' '}
          {holders.slice(0, MOST_HOLDERS).map(({ runId, phase }, index) => (
            <span key={`${runId} ${phase}`}>
              {index > 0 && '; '}
              {runId === run.id ? (
                (phase ?? 'this run')
              ) : (
                <>
                  run{' '}
                  <a href={href('runs', runId)}>
                    <code>{runId}</code>
                  </a>
                  {phase !== null && ` (${phase})`}
                </>
              )}
            </span>
          ))}
          {holders.length > MOST_HOLDERS && ` and ${holders.length - MOST_HOLDERS} more`}.{' '}
        </>
      )}
      {ahead === 0 ? 'It is next.' : `${ahead} before it.`}
    </div>
  );
}
