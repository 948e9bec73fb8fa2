// Starts a run over HTTP, shows what happens, and waits for its end.
// MAESTRO_API_URL=http://127.0.0.1:4000 [MAESTRO_TOKEN=...] node examples/enqueue-over-http.mjs [WORKFLOW] [REQUIREMENT]
import { randomUUID } from 'node:crypto';
import { FleetError, MaestroClient } from 'maestro-fleet/client';

const [workflow = 'url-shortener', requirement = 'A team wants a service that shortens links.'] = process.argv.slice(2);
const client = new MaestroClient({
  baseUrl: process.env.MAESTRO_API_URL ?? 'http://127.0.0.1:4000',
  token: process.env.MAESTRO_TOKEN,
});

try {
  // With a key the request may be repeated: a connection that breaks makes no second run.
  const { runId } = await client.execute(workflow, { inputs: { requirement } }, { idempotencyKey: randomUUID() });
  console.log(`run ${runId}`);
  // Taken up again by itself after a lost connection, without losing or repeating anything.
  for await (const event of client.events(runId)) {
    if (event.type === 'phase.status') console.log(`${event.phase}: ${event.status} ${event.reason}`.trimEnd());
    if (event.type === 'gate.verdict') console.log(`${event.phase}: the gates say ${event.verdict.verdict}`);
  }
  const { run } = await client.get(runId);
  console.log(`${run.status}${run.simulated ? ' [simulated]' : ''} ${run.reason}`.trimEnd());
  process.exitCode = run.status.startsWith('passed') ? 0 : 3;
} catch (err) {
  if (!(err instanceof FleetError)) throw err;
  console.error(`${err.code}: ${err.message} ${err.remedy ?? ''}`.trimEnd());
  process.exitCode = 1;
}
