interface TimeLimit {
  signal: AbortSignal;
  isOver(): boolean;
  end(): void;
}

/**
 * A signal that is aborted after `ms`, or with `outer`. To be ended by whoever asked for it.
 *
 * `AbortSignal.any([outer, AbortSignal.timeout(ms)])` does not do: Node collects a time limit that only the joined signal
 * knows of as garbage, and what it should end is then waited for without end.
 */
export function timeLimit(ms: number, outer: AbortSignal | undefined): TimeLimit {
  const limit = new AbortController();
  let isOver = false;
  const abort = (): void => limit.abort(outer?.reason);
  const timer = setTimeout(() => {
    isOver = true;
    limit.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'));
  }, ms);
  if (outer?.aborted === true) abort();
  outer?.addEventListener('abort', abort, { once: true });
  return {
    signal: limit.signal,
    isOver: (): boolean => isOver,
    end: (): void => {
      clearTimeout(timer);
      outer?.removeEventListener('abort', abort);
    },
  };
}
