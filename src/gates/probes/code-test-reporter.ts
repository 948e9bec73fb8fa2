import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { TestEvent } from 'node:test/reporters';
import type { TestRecord } from '../collectors/code/probe-reports.ts';

/**
 * A reporter of `node --test` that signs each line. The key comes on the runner's stdin, which no test process
 * inherits, and the lines leave on the runner's stdout, which is captured outside the sandbox: a line that a test
 * writes there, or takes away, breaks the count or the signature.
 */
const key = readFileSync(0, 'utf8');

type Unnumbered<T> = T extends unknown ? Omit<T, 'seq'> : never;

async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  let seq = 0;
  const sign = (record: Unnumbered<TestRecord>): string => {
    const body = JSON.stringify({ seq, ...record });
    seq += 1;
    return `${createHmac('sha256', key).update(body).digest('hex')} ${body}\n`;
  };
  yield sign({ type: 'start', cwd: process.cwd(), node: process.version });
  for await (const event of source) {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    const { data } = event;
    const failure: unknown = event.type === 'test:fail' ? event.data.details.error : undefined;
    const isSkipped = data.skip !== undefined && data.skip !== false;
    const isTodo = data.todo !== undefined && data.todo !== false;
    const ran = event.type === 'test:pass' ? 'passed' : 'failed';
    yield sign({
      type: 'test',
      name: data.name,
      nesting: data.nesting,
      file: data.file ?? '',
      line: data.line ?? 1,
      outcome: isTodo ? 'todo' : isSkipped ? 'skipped' : ran,
      isSuite: data.details.type === 'suite',
      isFailedByChildren: field(failure, 'failureType') === 'subtestsFailed',
      durationMs: data.details.duration_ms,
      message: messageOf(failure).slice(0, 2000),
      exitCode: typeof field(failure, 'exitCode') === 'number' ? Number(field(failure, 'exitCode')) : null,
    });
  }
  yield sign({ type: 'end' });
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

function messageOf(failure: unknown): string {
  if (failure === undefined) return '';
  const cause = field(failure, 'cause');
  const inner = field(cause, 'message') ?? field(failure, 'message') ?? failure;
  return typeof inner === 'string' ? inner : (JSON.stringify(inner) ?? 'failed');
}

// Node takes a reporter from the default export.
// oxlint-disable-next-line import/no-default-export
export default report;
