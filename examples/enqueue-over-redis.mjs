// Starts a run from a service that has Redis and the blob store at hand: no server between.
// REDIS_URL=redis://... MAESTRO_BLOBS=s3://... node examples/enqueue-over-redis.mjs [WORKFLOW] [REQUIREMENT]
import { FleetError, MaestroProducer } from 'maestro-fleet/producer';

const [workflow = 'url-shortener', requirement = 'A team wants a service that shortens links.'] = process.argv.slice(2);
const { REDIS_URL = 'redis://127.0.0.1:6379', MAESTRO_BLOBS = '.maestro/blobs', MAESTRO_PREFIX, PROVIDER } = process.env;

try {
  const producer = await MaestroProducer.open({
    redisUrl: REDIS_URL,
    blobs: MAESTRO_BLOBS,
    prefix: MAESTRO_PREFIX,
    provider: PROVIDER,
  });
  try {
    const { runId } = await producer.execute(workflow, { inputs: { requirement } });
    console.log(`run ${runId}`);
    const run = await producer.wait(runId, { signal: AbortSignal.timeout(3_600_000) });
    console.log(`${run.status}${run.simulated ? ' [simulated]' : ''} ${run.reason}`.trimEnd());
    process.exitCode = run.status.startsWith('passed') ? 0 : 3;
  } finally {
    // Without this the process would stay for its connections.
    await producer.close();
  }
} catch (err) {
  if (!(err instanceof FleetError)) throw err;
  console.error(`${err.code}: ${err.message} ${err.remedy ?? ''}`.trimEnd());
  process.exitCode = 1;
}
