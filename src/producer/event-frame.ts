import type { RunEvent } from '../shared/run-record.ts';

const frames = new WeakMap<RunEvent, string>();

/** An event as it is sent; made once, however many listeners it goes to. JSON has no line breaks of its own, so one data line holds it. */
export function eventFrame(event: RunEvent): string {
  const known = frames.get(event);
  if (known !== undefined) return known;
  const frame = `id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
  frames.set(event, frame);
  return frame;
}
