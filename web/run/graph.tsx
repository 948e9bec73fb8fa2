import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { messageOf } from '../lib/api.ts';
import { count } from '../lib/format.ts';
import type { RunView } from '../lib/live-run.ts';
import { phasesBelow, statusOf } from '../lib/model.ts';
import { Loading } from '../ui/basic.tsx';
import { Card } from './card.tsx';
import { GroupToggle } from './group-toggle.tsx';
import { type Picture, pictureOf } from './graph-model.ts';
import { type Placed, layout, pathOf } from './layout.ts';

/** More than this nobody can read at a glance: the table tells it better, and who wants it drawn may say so. */
const MOST_CARDS = 150;
const ZOOM = { least: 0.2, most: 1.5, step: 1.25 };
const MOST_HEIGHT = 0.68;
/** Smaller than this a card is not to be read: rather scroll, unless somebody wants to see it whole. */
const READABLE = 0.75;

/** The phases as a graph, from left to right. */
export function Graph({ run, chosen }: { run: RunView; chosen: string | undefined }): JSX.Element {
  const [isWanted, setWanted] = useState(false);
  const picture = pictureOf(run);
  const isTooMuch = picture.cards.length > MOST_CARDS && !isWanted;
  return (
    <>
      <Parts run={run} />
      {isTooMuch ? (
        <div class="banner">
          {count(picture.cards.length, 'phase')}: too many to be read as a graph. The table shows them all.{' '}
          <button onClick={() => setWanted(true)}>Draw it anyway</button>
        </div>
      ) : (
        <Drawing run={run} picture={picture} chosen={chosen} />
      )}
    </>
  );
}

function Parts({ run }: { run: RunView }): JSX.Element | null {
  const parts = [...run.tree.nodes.values()].filter(
    ({ kind, parent }) => kind === 'part' && (parent === undefined || run.isOpen(parent)),
  );
  if (parts.length === 0) return null;
  return (
    <div class="buttons wrap" role="group" aria-label="Sub-workflows">
      {parts.map((node) => (
        <GroupToggle
          key={node.id}
          run={run}
          node={node}
          text={`${node.id}, ${count(phasesBelow(node).length, 'phase')}`}
        />
      ))}
    </div>
  );
}

function usePlaced(picture: Picture): { placed: Placed | undefined; of: string; fault: string | undefined } {
  const [found, setFound] = useState<{ placed: Placed; of: string }>();
  const [fault, setFault] = useState<string>();
  useEffect(() => {
    let isStale = false;
    layout(picture.boxes, picture.links).then(
      (placed) => !isStale && setFound({ placed, of: picture.key }),
      (err: unknown) => setFault(messageOf(err)),
    );
    return () => void (isStale = true);
  }, [picture.key]);
  return { placed: found?.placed, of: found?.of ?? '', fault };
}

interface DrawingProps {
  run: RunView;
  picture: Picture;
  chosen: string | undefined;
}

function Drawing({ run, picture, chosen }: DrawingProps): JSX.Element {
  const { placed, fault, of } = usePlaced(picture);
  if (fault !== undefined)
    return <div class="banner bad">The graph cannot be laid out: {fault}. The table shows the same.</div>;
  if (placed === undefined)
    return (
      <div class="graph-frame pending">
        <Loading what="the graph" />
      </div>
    );
  return <Canvas run={run} picture={picture} chosen={chosen} placed={placed} of={of} />;
}

/** What is laid out, in a frame that scrolls and zooms. */
function Canvas({ run, picture, chosen, placed, of }: DrawingProps & { placed: Placed; of: string }): JSX.Element {
  const frame = useRef<HTMLDivElement>(null);
  const [focused, setFocused] = useState<string>();
  const [first, setFirst] = useState(1);
  const fit = (): number => fitting(frame.current, placed);
  useLayoutEffect(() => setFirst(Math.max(picture.isDense ? READABLE : READABLE / 1.25, fit())), []);
  const zoom = run.look.zoom ?? first;
  const zoomTo = (wanted: number): void => {
    run.look.zoom = Math.min(ZOOM.most, Math.max(ZOOM.least, wanted));
    run.redraw();
  };
  usePanning(frame, (factor) => zoomTo(zoom * factor));
  return (
    <div class="graph-box">
      <ZoomTools zoom={zoom} zoomTo={zoomTo} fit={fit} />
      <div
        class="graph-frame"
        ref={frame}
        role="region"
        aria-label="Phases as a graph: arrow keys move, Enter shows a phase, plus and minus zoom"
        onKeyDown={(event) => onKey(event, placed, { zoomTo, zoom, fit, setFocused })}
      >
        <div style={sizeOf(placed.width * zoom, placed.height * zoom)}>
          <div
            class={`graph ${picture.isDense ? 'dense' : ''}`}
            style={{ ...sizeOf(placed.width, placed.height), transform: `scale(${zoom})` }}
          >
            <Lines run={run} picture={picture} placed={placed} of={of} near={focused ?? chosen} />
            <Cards run={run} picture={picture} placed={placed} chosen={chosen} focused={focused} onFocus={setFocused} />
          </div>
        </div>
      </div>
    </div>
  );
}

const sizeOf = (width: number, height: number): Record<string, string> => ({
  width: `${width}px`,
  height: `${height}px`,
});

type ZoomProps = Pick<Keys, 'zoom' | 'zoomTo' | 'fit'>;
const ZoomTools = ({ zoom, zoomTo, fit }: ZoomProps): JSX.Element => (
  <div class="graph-tools" role="group" aria-label="Zoom">
    <button class="quiet" onClick={() => zoomTo(zoom * ZOOM.step)} aria-label="Zoom in">
      +
    </button>
    <button class="quiet" onClick={() => zoomTo(zoom / ZOOM.step)} aria-label="Zoom out">
      −
    </button>
    <button class="quiet" onClick={() => zoomTo(fit())}>
      Fit
    </button>
    <button class="quiet num" onClick={() => zoomTo(1)} aria-label={`Zoom is ${percent(zoom)}; back to 100 %`}>
      {percent(zoom)}
    </button>
  </div>
);
const percent = (part: number): string => `${Math.round(part * 100)} %`;

interface CardsProps extends DrawingProps {
  placed: Placed;
  focused: string | undefined;
  onFocus: (id: string) => void;
}
function Cards({ run, picture, placed, chosen, focused, onFocus }: CardsProps): JSX.Element {
  const tabbed = focused ?? chosen ?? picture.cards[0]?.id;
  return (
    <>
      {picture.cards.map((node, index) => {
        const place = placed.boxes.get(node.id);
        const box = picture.boxes[index];
        return place === undefined || box === undefined ? null : (
          <Card
            key={node.id}
            run={run}
            node={node}
            isDense={picture.isDense}
            isChosen={node.id === chosen}
            isTabbed={node.id === tabbed}
            onFocus={onFocus}
            style={{ left: `${place.x}px`, top: `${place.y}px`, ...sizeOf(box.width, box.height) }}
          />
        );
      })}
    </>
  );
}

function Lines(props: {
  run: RunView;
  picture: Picture;
  placed: Placed;
  of: string;
  near: string | undefined;
}): JSX.Element {
  const { run, picture, placed, of, near } = props;
  const paths = useMemo(() => placed.lines.map(pathOf), [placed]);
  return (
    <svg width={placed.width} height={placed.height} aria-hidden="true">
      {of === picture.key &&
        picture.links.map(({ from, to }, index) => {
          const target = run.tree.nodes.get(to);
          const status = target === undefined ? '' : statusOf(target);
          return (
            <path
              key={`${from} ${to}`}
              d={paths[index]}
              class={`${status} ${near === from || near === to ? 'near' : ''}`}
            />
          );
        })}
    </svg>
  );
}

function fitting(frame: HTMLElement | null, placed: Placed | undefined): number {
  if (frame === null || placed === undefined) return 1;
  const height = window.innerHeight * MOST_HEIGHT;
  return Math.min(1, (frame.clientWidth - 2) / placed.width, height / placed.height);
}

interface Keys {
  zoom: number;
  zoomTo: (zoom: number) => void;
  fit: () => number;
  setFocused: (id: string) => void;
}

function onKey(event: KeyboardEvent, placed: Placed, { zoom, zoomTo, fit, setFocused }: Keys): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === '+' || event.key === '=') zoomTo(zoom * ZOOM.step);
  else if (event.key === '-') zoomTo(zoom / ZOOM.step);
  else if (event.key === '0') zoomTo(fit());
  else {
    const card = event.target instanceof Element ? event.target.closest<HTMLElement>('.card') : null;
    const next = card === null ? undefined : neighbour(placed, card.dataset['phase'] ?? '', event.key);
    if (next === undefined) return;
    setFocused(next);
    document.querySelector<HTMLElement>(`.card[data-phase="${CSS.escape(next)}"] .face`)?.focus();
  }
  event.preventDefault();
}

const AHEAD: Partial<Record<string, (dx: number, dy: number) => number | undefined>> = {
  ArrowRight: (dx, dy) => (dx > 20 ? dx + 2 * Math.abs(dy) : undefined),
  ArrowLeft: (dx, dy) => (dx < -20 ? -dx + 2 * Math.abs(dy) : undefined),
  ArrowDown: (dx, dy) => (dy > 10 ? dy + 2 * Math.abs(dx) : undefined),
  ArrowUp: (dx, dy) => (dy < -10 ? -dy + 2 * Math.abs(dx) : undefined),
};

/** The nearest card in the direction of an arrow key. */
function neighbour(placed: Placed, from: string, key: string): string | undefined {
  const distance = AHEAD[key];
  const here = placed.boxes.get(from);
  if (distance === undefined || here === undefined) return undefined;
  let best: { id: string; far: number } | undefined;
  for (const [id, { x, y }] of placed.boxes) {
    const far = distance(x - here.x, y - here.y);
    if (far !== undefined && (best === undefined || far < best.far)) best = { id, far };
  }
  return best?.id;
}

/** The mouse drags the picture; with Ctrl, or a pinch, the wheel zooms. Touch and keys scroll by themselves. */
function usePanning(frame: { current: HTMLElement | null }, zoomBy: (factor: number) => void): void {
  const zoom = useRef(zoomBy);
  zoom.current = zoomBy;
  useEffect(() => {
    const place = frame.current;
    if (place === null) return;
    let from: { x: number; y: number; left: number; top: number } | undefined;
    const down = (event: PointerEvent): void => {
      if (
        event.pointerType !== 'mouse' ||
        event.button !== 0 ||
        (event.target instanceof Element && event.target.closest('button'))
      )
        return;
      from = { x: event.clientX, y: event.clientY, left: place.scrollLeft, top: place.scrollTop };
      place.setPointerCapture(event.pointerId);
    };
    const move = (event: PointerEvent): void => {
      if (from !== undefined)
        place.scrollTo({ left: from.left - (event.clientX - from.x), top: from.top - (event.clientY - from.y) });
    };
    const up = (): void => void (from = undefined);
    const wheel = (event: WheelEvent): void => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      zoom.current(Math.exp(-event.deltaY / 300));
    };
    place.addEventListener('pointerdown', down);
    place.addEventListener('pointermove', move);
    place.addEventListener('pointerup', up);
    place.addEventListener('pointercancel', up);
    place.addEventListener('wheel', wheel, { passive: false });
    return () => {
      place.removeEventListener('pointerdown', down);
      place.removeEventListener('pointermove', move);
      place.removeEventListener('pointerup', up);
      place.removeEventListener('pointercancel', up);
      place.removeEventListener('wheel', wheel);
    };
  }, []);
}
