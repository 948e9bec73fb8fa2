export interface ServerSentEvent {
  id: string;
  event: string;
  data: string;
}

/** Reads a `text/event-stream` body. An event that is cut off by the end of the stream is dropped, as the standard says. */
export async function* readServerSentEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder();
  let rest = '';
  let lines: string[] = [];
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    const parts = rest.split(/\r\n|\n/);
    rest = parts.pop() ?? '';
    for (const line of parts) {
      if (line !== '') {
        lines.push(line);
        continue;
      }
      const event = parseEvent(lines);
      lines = [];
      if (event !== undefined) yield event;
    }
  }
}

function parseEvent(lines: readonly string[]): ServerSentEvent | undefined {
  const fields = { id: '', event: 'message', data: new Array<string>() };
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') fields.data.push(value);
    else if (name === 'id' || name === 'event') fields[name] = value;
  }
  return fields.data.length === 0 ? undefined : { ...fields, data: fields.data.join('\n') };
}
