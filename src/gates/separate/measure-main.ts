import { FleetError } from '../../shared/errors.ts';
import { createLogger } from '../../shared/logger.ts';
import { sandboxOf } from '../../shared/sandbox/open-sandbox.ts';
import { tellError } from '../../shared/told-error.ts';
import type { CollectContext, Collector } from '../collector.ts';
import { withDeclared } from '../collectors/code/declared/with-declared.ts';
import { allCollectors } from '../collectors/registry.ts';
import { readDocument } from '../document-problems.ts';
import { makeCheck } from '../integrity/check-integrity.ts';
import { partsOf } from '../selftest/proven-collectors.ts';
import { type DeclaredIn, type MeasureMessage, type MeasureReply, type Task, nameOf } from './messages.ts';

/** The process that measures for a worker; see `measuring-processes.ts`. It has no secrets. */
let aborting = new AbortController();
/** How long what was started may take to end once the worker is gone. */
const END_MS = 3_000;

const tell = (reply: MeasureReply): void => {
  if (process.connected) process.send?.(reply);
};

function findCollector(name: string, declared: DeclaredIn | undefined): Collector {
  const shipped = allCollectors.flatMap((whole) => [whole, ...partsOf(whole)]);
  const known =
    declared === undefined ? shipped : withDeclared(allCollectors, declared.commands, declared.catalogue).collectors;
  const found = known.find((one) => nameOf(one) === name);
  if (found === undefined) throw new FleetError('INTERNAL', `there is no collector ${name}`);
  return found;
}

function perform(task: Task, means: Pick<CollectContext, 'sandbox' | 'signal' | 'logger'>): Promise<unknown> {
  switch (task.type) {
    case 'collect':
      return findCollector(task.collector, task.declared).collect({ ...task.context, ...means });
    case 'check':
      return makeCheck(task.check, { ...task.input, context: { ...task.context, ...means } });
    case 'read':
      return readDocument(task.root, task.path, task.spec);
  }
}

async function measure({ task, sandbox, logLevel }: Extract<MeasureMessage, { type: 'measure' }>): Promise<void> {
  const { signal } = aborting;
  const logger = createLogger({ level: logLevel, name: 'maestro' });
  try {
    tell({ type: 'measured', result: await perform(task, { sandbox: sandboxOf(sandbox), signal, logger }) });
  } catch (err) {
    tell({ type: 'failed', ...tellError(err) });
  }
}

process.on('message', (message: MeasureMessage) => {
  if (message.type === 'abort') return aborting.abort(new FleetError('CANCELLED', 'measuring was cancelled'));
  aborting = new AbortController();
  void measure(message);
});
// A terminal's Ctrl-C reaches everybody at once; when this process ends is for the worker to say.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => {
  aborting.abort();
  setTimeout(() => process.exit(0), END_MS).unref();
});
