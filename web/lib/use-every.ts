import { useEffect } from 'preact/hooks';

/**
 * Calls `load` at once, when an input changes, and every so often while the page is looked at. What it finds after
 * `isStopped` says so is nobody's any more.
 */
export function useEvery(
  ms: number,
  load: (isStopped: () => boolean) => Promise<void>,
  inputs: readonly unknown[] = [],
): void {
  useEffect(() => {
    let stopped = false;
    const once = (): void => void load(() => stopped);
    once();
    const timer = window.setInterval(() => document.visibilityState === 'visible' && once(), ms);
    return () => {
      stopped = true;
      window.clearInterval(timer);
    };
  }, inputs);
}
