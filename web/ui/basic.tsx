import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { duration, words } from '../lib/format.ts';

/** A status, told by word and sign, not by colour alone. */
const SIGNS: Partial<Record<string, string>> = {
  passed: '✓',
  passed_with_warnings: '!',
  present: '✓',
  met: '✓',
  held: '✓',
  approved: '✓',
  rejected: '✕',
  blocked: '✕',
  failed: '✕',
  missing: '✕',
  violated: '✕',
  contradicted: '✕',
  refused: '✕',
  missed: '!',
  error: '?',
  not_evaluable: '?',
  running: '▶',
  awaiting_approval: '‖',
  paused: '‖',
  cancelled: '■',
  bypassed: '↷',
  applied: '↷',
  skipped: '↷',
  not_started: '○',
  waiting_for_place: '…',
};
export const signOf = (status: string): string => SIGNS[status] ?? '·';

export const Pill = ({ status, children }: { status: string; children?: ComponentChildren }): JSX.Element => (
  <span class={`pill ${status}`}>
    <span aria-hidden="true">{signOf(status)}</span> {children ?? words(status)}
  </span>
);

export const SimulatedMark = (): JSX.Element => (
  <span class="mark" title="Not produced by a real model">
    simulated
  </span>
);

/** Where the answers of a run, or what was made with them, came from, when no model gave them now. */
export const OriginMarks = ({ of }: { of: { simulated: boolean; replayed?: boolean | undefined } }): JSX.Element => (
  <>
    {of.replayed === true && (
      <span class="mark" title="Played from the recording of an earlier run">
        replayed
      </span>
    )}{' '}
    {of.simulated && <SimulatedMark />}
  </>
);

/** What models and people wrote: shown as text with its line breaks, never as markup. */
export const Text = ({ children }: { children: ComponentChildren }): JSX.Element => (
  <span class="text">{children}</span>
);

export const When = ({ at }: { at: string | null }): JSX.Element =>
  at === null ? (
    <span>–</span>
  ) : (
    <time dateTime={at} title={at}>
      {new Date(at).toLocaleString()}
    </time>
  );

const tickers = new Set<() => void>();
window.setInterval(() => {
  if (document.visibilityState === 'visible') for (const tick of tickers) tick();
}, 1000);

/** Draws again every second while something goes on. */
export function useTick(isRunning: boolean): void {
  const [, setNow] = useState(0);
  useEffect(() => {
    if (!isRunning) return;
    const tick = (): void => setNow((now) => now + 1);
    tickers.add(tick);
    return () => void tickers.delete(tick);
  }, [isRunning]);
}

/** How long something takes; it goes on while it has not ended. */
export function Elapsed({ from, to }: { from: string | null; to: string | null }): JSX.Element {
  useTick(from !== null && to === null);
  return <span class="nowrap num">{duration(from, to)}</span>;
}

export const Banner = ({ kind = '', children }: { kind?: string; children: ComponentChildren }): JSX.Element => (
  <div class={`banner ${kind}`}>{children}</div>
);

/** Says that something is on its way, and keeps its place. */
export const Loading = ({ what }: { what: string }): JSX.Element => (
  <div class="loading" role="status">
    <span class="spinner" aria-hidden="true" /> Loading {what}…
  </div>
);

export const Empty = ({ title, children }: { title: string; children?: ComponentChildren }): JSX.Element => (
  <div class="empty">
    <p class="empty-title">{title}</p>
    {children}
  </div>
);

export const Fact = ({
  name,
  wide = false,
  children,
}: {
  name: string;
  wide?: boolean;
  children: ComponentChildren;
}) => (
  <div class={wide ? 'wide' : ''}>
    <dt>{name}</dt>
    <dd class="text">{children}</dd>
  </div>
);
