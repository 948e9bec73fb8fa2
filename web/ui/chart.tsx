import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type uPlot from 'uplot';
import { messageOf } from '../lib/api.ts';

export interface Series {
  name: string;
  /** The name of a colour of the style sheet: `--t-model`. */
  colour: string;
  values: (number | null)[];
}
export interface ChartProps {
  /** What is shown, in a sentence, for those who do not see it. */
  label: string;
  /** Seconds since 1970, rising. */
  times: number[];
  series: readonly Series[];
  format: (value: number) => string;
  /** For what is added up: between two points nothing was added. */
  isStepped?: boolean;
}

const HEIGHT = 240;

/** Lines over time. What they show is also told in words and in a table beside them. */
export function Chart({ label, times, series, format, isStepped = false }: ChartProps): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const [fault, setFault] = useState<string>();
  const names = series.map(({ name }) => name).join();
  useEffect(() => {
    const box = place.current;
    if (box === null) return;
    let isGone = false;
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    const draw = async (): Promise<void> => {
      const { default: Plot } = await import('uplot');
      if (isGone) return;
      plot.current?.destroy();
      plot.current = new Plot(
        optionsOf(box, series, format, isStepped ? Plot.paths.stepped?.({ align: 1 }) : undefined),
        dataOf(latest.current),
        box,
      );
    };
    const repaint = (): void => void draw().catch((err: unknown) => setFault(messageOf(err)));
    const sizes = new ResizeObserver(() => plot.current?.setSize({ width: box.clientWidth, height: HEIGHT }));
    sizes.observe(box);
    scheme.addEventListener('change', repaint);
    repaint();
    return () => {
      isGone = true;
      sizes.disconnect();
      scheme.removeEventListener('change', repaint);
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [names]);
  const latest = useRef({ times, series });
  latest.current = { times, series };
  useEffect(() => plot.current?.setData(dataOf({ times, series })), [times, series]);
  if (fault !== undefined) return <p class="banner bad">The lines cannot be drawn: {fault}. The numbers are below.</p>;
  return <div class="chart" ref={place} role="img" aria-label={label} style={{ minHeight: `${HEIGHT + 40}px` }} />;
}

const dataOf = ({ times, series }: Pick<ChartProps, 'times' | 'series'>): uPlot.AlignedData => [
  times,
  ...series.map(({ values }) => values),
];

function optionsOf(
  box: HTMLElement,
  series: readonly Series[],
  format: ChartProps['format'],
  paths: uPlot.Series.PathBuilder | undefined,
): uPlot.Options {
  const style = getComputedStyle(box);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour('--muted'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { stroke: colour('--line'), width: 1 },
  };
  return {
    width: box.clientWidth,
    height: HEIGHT,
    cursor: { drag: { x: true, y: false } },
    // Wide enough for a time with its date below.
    axes: [
      { ...axis, space: 80 },
      { ...axis, size: 76, values: (_, splits) => splits.map(format) },
    ],
    series: [
      {},
      ...series.map(({ name, colour: of }) => ({
        label: name,
        stroke: colour(of),
        fill: `${colour(of)}1f`,
        width: 2,
        ...(paths === undefined ? {} : { paths }),
        points: { show: series[0] !== undefined && series[0].values.length < 40 },
        value: (_: uPlot, value: number | null) => (value === null ? '–' : format(value)),
      })),
    ],
  };
}
