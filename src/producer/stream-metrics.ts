import type { EventStreams } from './event-streams.ts';

/** Prometheus lines about the event streams of this process. */
export function streamLines(streams: EventStreams): string[] {
  const { open, waitingBytes, endedSlow } = streams.stats();
  return [
    '# HELP maestro_event_streams Event streams that are open in this process.',
    '# TYPE maestro_event_streams gauge',
    `maestro_event_streams ${open}`,
    '# HELP maestro_event_stream_waiting_bytes Bytes that wait in this process for slow readers of event streams.',
    '# TYPE maestro_event_stream_waiting_bytes gauge',
    `maestro_event_stream_waiting_bytes ${waitingBytes}`,
    '# HELP maestro_event_streams_ended_slow_total Event streams that were ended because their reader was too slow.',
    '# TYPE maestro_event_streams_ended_slow_total counter',
    `maestro_event_streams_ended_slow_total ${endedSlow}`,
  ];
}
