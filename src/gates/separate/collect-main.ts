import { FleetError } from '../../shared/errors.ts';
import { createLogger } from '../../shared/logger.ts';
import { sandboxOf } from '../../shared/sandbox/open-sandbox.ts';
import { tellError } from '../../shared/told-error.ts';
import { withDeclared } from '../collectors/code/declared/with-declared.ts';
import { allCollectors } from '../collectors/registry.ts';
import { partsOf } from '../selftest/proven-collectors.ts';
import { type CollectMessage, type CollectReply, type CollectRequest, nameOf } from './messages.ts';

/** The process that collectors run in for a worker; see `collector-processes.ts`. It has no secrets. */
let aborting = new AbortController();
/** How long what was started may take to end once the worker is gone. */
const END_MS = 3_000;

const tell = (reply: CollectReply): void => {
  if (process.connected) process.send?.(reply);
};

async function collect({ collector, declared, input, sandbox, logLevel }: CollectRequest): Promise<void> {
  try {
    const shipped = allCollectors.flatMap((whole) => [whole, ...partsOf(whole)]);
    const known =
      declared === undefined ? shipped : withDeclared(allCollectors, declared.commands, declared.catalogue).collectors;
    const found = known.find((one) => nameOf(one) === collector);
    if (found === undefined) throw new FleetError('INTERNAL', `there is no collector ${collector}`);
    const collected = await found.collect({
      ...input,
      sandbox: sandboxOf(sandbox),
      signal: aborting.signal,
      logger: createLogger({ level: logLevel, name: 'maestro' }),
    });
    tell({ type: 'collected', collected });
  } catch (err) {
    tell({ type: 'failed', ...tellError(err) });
  }
}

process.on('message', (message: CollectMessage) => {
  if (message.type === 'abort') return aborting.abort(new FleetError('CANCELLED', 'measuring was cancelled'));
  aborting = new AbortController();
  void collect(message.request);
});
// A terminal's Ctrl-C reaches everybody at once; when this process ends is for the worker to say.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => {
  aborting.abort();
  setTimeout(() => process.exit(0), END_MS).unref();
});
