import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { RunDetail } from '../../src/producer/api-schemas.ts';
import { EVENT_TYPES } from '../run/tell.ts';
import { Refusal, ask, messageOf, eventOf } from './api.ts';
import { type Node, type Tree, treeOf } from './model.ts';
import { RunLog } from './run-log.ts';

const REFRESH_MS = 300;
/** A browser gives up a stream that is refused, as by a server that is only starting. So soon it is asked for again. */
const REOPEN_MS = 2_000;
/** Sub-workflows of runs up to this size are shown with their phases; of larger ones, as one card each. */
const MOST_OPEN = 40;

/** What somebody who looks at a run has opened, closed and searched for; it outlives a change of tab. */
export interface Look {
  folds: Map<string, boolean>;
  groups: Map<string, boolean>;
  filter: { text: string; status: string };
  zoom: number | undefined;
}

/** A run as it stands, kept live, and what is to be done with it. Every tab is given this. */
export interface RunView {
  id: string;
  detail: RunDetail;
  tree: Tree;
  log: RunLog;
  look: Look;
  /** Whether a group of phases (a sub-workflow, or the instances of a phase) is open. */
  isOpen: (node: Node) => boolean;
  toggle: (node: Node) => void;
  /** Draws again after a change of `look`. */
  redraw: () => void;
  /** Fetches the run again. */
  refresh: () => Promise<void>;
}

/** What every tab of a run is given. */
export interface TabProps {
  run: RunView;
  /** What stands behind the tab in the address: `#/runs/ID/gates/backend` gives `['backend']`. */
  rest: string[];
}

interface LiveRun {
  view: RunView | undefined;
  /** Why the run cannot be shown. */
  fault: string | undefined;
  /** Whether the events of the run arrive; after a lost connection they are asked for again. */
  isLive: boolean;
}

interface Feed {
  log: RunLog;
  refresh: () => Promise<void>;
}

/** Follows one run: its detail is fetched again whenever its log tells of something. */
export function useRun(id: string): LiveRun {
  const [detail, setDetail] = useState<RunDetail>();
  const [fault, setFault] = useState<string>();
  const [isLive, setLive] = useState(true);
  const [, setDrawn] = useState(0);
  const redraw = (): void => setDrawn((drawn) => drawn + 1);
  const feed = useRef<Feed>({ log: new RunLog(), refresh: async () => undefined });
  const look = useMemo<Look>(
    () => ({ folds: new Map(), groups: new Map(), filter: { text: '', status: '' }, zoom: undefined }),
    [id],
  );
  useEffect(() => {
    setDetail(undefined);
    setFault(undefined);
    const follower = follow(id, { onDetail: setDetail, onFault: setFault, onLive: setLive });
    feed.current = follower;
    return follower.stop;
  }, [id]);
  const tree = useMemo(() => (detail === undefined ? undefined : treeOf(detail)), [detail]);
  if (detail === undefined || tree === undefined || detail.run.runId !== id) return { view: undefined, fault, isLive };
  const isOpen = (node: Node): boolean =>
    look.groups.get(node.id) ?? (node.kind === 'part' && detail.plan.length <= MOST_OPEN);
  const view: RunView = {
    id,
    detail,
    tree,
    look,
    redraw,
    isOpen,
    log: feed.current.log,
    toggle: (node) => {
      look.groups.set(node.id, !isOpen(node));
      redraw();
    },
    refresh: () => feed.current.refresh(),
  };
  return { view, fault, isLive };
}

/** A run that is not there does not come by asking; a service that is away, or only starting, comes back. */
const isFinal = (err: unknown): boolean =>
  err instanceof Refusal && err.status >= 400 && err.status < 500 && err.status !== 429;

interface Listener {
  onDetail: (detail: RunDetail) => void;
  onFault: (fault: string | undefined) => void;
  onLive: (isLive: boolean) => void;
}

function follow(id: string, { onDetail, onFault, onLive }: Listener): Feed & { stop: () => void } {
  const path = `/api/runs/${encodeURIComponent(id)}`;
  const log = new RunLog();
  let timer: number | undefined;
  let source: EventSource | undefined;
  let isStopped = false;
  let isBehind = false;
  let hasEnded = false;
  let isRefused = false;
  let last = '0';
  // A large run takes long to fetch and to draw; then it is fetched less often.
  let tookMs = 0;
  const refresh = async (): Promise<boolean> => {
    const began = performance.now();
    try {
      const detail = await ask<RunDetail>(path);
      if (isStopped) return false;
      hasEnded = detail.run.finishedAt !== null;
      onDetail(detail);
      onFault(undefined);
      if (source === undefined || (!hasEnded && source.readyState === EventSource.CLOSED)) listen();
      if (hasEnded) onLive(true);
      requestAnimationFrame(() => (tookMs = performance.now() - began));
      return true;
    } catch (err) {
      if (!isStopped) onFault(messageOf(err));
      isRefused = isFinal(err);
      return false;
    }
  };
  const soon = (): void => {
    isBehind = true;
    timer ??= window.setTimeout(
      () => {
        isBehind = false;
        // What happens while it is fetched may not be in it.
        void refresh().finally(() => {
          timer = undefined;
          if (isBehind && !isStopped) soon();
        });
      },
      Math.max(REFRESH_MS, 3 * tookMs),
    );
  };
  const listen = (): void => {
    source = new EventSource(`${path}/events?lastEventId=${last}`);
    source.addEventListener('open', () => onLive(true));
    source.addEventListener('error', () => onLive(hasEnded && source?.readyState === EventSource.CLOSED));
    for (const type of EVENT_TYPES)
      source.addEventListener(type, (event) => {
        last = event.lastEventId;
        log.add(eventOf(event.data));
        soon();
      });
  };
  const reopen = window.setInterval(() => {
    if (source === undefined ? !isRefused : !hasEnded && source.readyState === EventSource.CLOSED) void refresh();
  }, REOPEN_MS);
  void refresh();
  return {
    log,
    refresh: async () => {
      await refresh();
    },
    stop: () => {
      isStopped = true;
      window.clearTimeout(timer);
      window.clearInterval(reopen);
      source?.close();
    },
  };
}
