import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';

interface Notice {
  text: string;
  kind: 'good' | 'bad';
}
const GONE_AFTER_MS = 10_000;
let listener: ((notice: Notice) => void) | undefined;

/** Tells what came of something that somebody did. */
export const notify = (text: string, kind: Notice['kind'] = 'good'): void => listener?.({ text, kind });

/** The one place where it is told, which screen readers listen to. */
export function NoticePlace(): JSX.Element {
  const [notice, setNotice] = useState<Notice>();
  useEffect(() => {
    listener = setNotice;
    return () => (listener = undefined);
  }, []);
  useEffect(() => {
    // What went wrong stays until it is read.
    if (notice?.kind !== 'good') return;
    const timer = window.setTimeout(() => setNotice(undefined), GONE_AFTER_MS);
    return () => window.clearTimeout(timer);
  }, [notice]);
  return (
    <div id="notice" class={notice?.kind ?? ''} role="status" aria-live="polite">
      {notice !== undefined && (
        <>
          <span class="text">{notice.text}</span>
          <button class="quiet" onClick={() => setNotice(undefined)} aria-label="Close this message">
            ✕
          </button>
        </>
      )}
    </div>
  );
}
