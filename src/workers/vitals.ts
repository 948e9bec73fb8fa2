import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { type LoopBusy, LoopStretches, RESOLUTION_MS } from './loop-stretches.ts';

export interface LoopDelay {
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

/** How this process is: how late its event loop was, its memory, its share of a core. */
export class Vitals {
  readonly #whole = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #recent = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #stretches = LoopStretches.open();
  #cpu = process.cpuUsage();
  #at = performance.now();

  constructor() {
    this.#whole.enable();
    this.#recent.enable();
  }

  /** Since the process began. */
  get whole(): LoopDelay {
    return delayOf(this.#whole);
  }

  /** How long this process's own work held the loop; undefined where the system does not tell. */
  get busy(): LoopBusy | undefined {
    return this.#stretches?.busy;
  }

  get rssBytes(): number {
    return process.memoryUsage.rss();
  }

  /** Seconds of processor time since the process began. */
  get cpuSeconds(): number {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  }

  /** Since this was asked for last. */
  sinceLast(): { delay: LoopDelay; cpu: number } {
    const delay = delayOf(this.#recent);
    this.#recent.reset();
    const [{ user, system }, now] = [process.cpuUsage(this.#cpu), performance.now()];
    const cpu = (user + system) / 1000 / Math.max(1, now - this.#at);
    this.#cpu = process.cpuUsage();
    this.#at = now;
    return { delay, cpu: Math.round(cpu * 100) / 100 };
  }

  close(): void {
    this.#whole.disable();
    this.#recent.disable();
    this.#stretches?.close();
  }
}

/** The histogram holds the times between two looks; what goes beyond their distance is the delay. */
function delayOf(histogram: IntervalHistogram): LoopDelay {
  const late = (nanoseconds: number): number =>
    histogram.count === 0 ? 0 : Math.max(0, Math.round((nanoseconds / 1e6 - RESOLUTION_MS) * 10) / 10);
  return {
    p50Ms: late(histogram.percentile(50)),
    p99Ms: late(histogram.percentile(99)),
    maxMs: late(histogram.max),
  };
}
