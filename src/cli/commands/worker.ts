import { once } from 'node:events';
import { findPersona, personasIn } from '../../shared/persona-files.ts';
import { allCollectors } from '../../gates/collectors/registry.ts';
import { openMeasuringAids } from '../../gates/open-measuring-aids.ts';
import { MeasuringProcesses } from '../../gates/separate/measuring-processes.ts';
import { FleetError, errorMessage } from '../../shared/errors.ts';
import { Launcher } from '../../shared/launcher.ts';
import { startProgramsBy } from '../../shared/process.ts';
import { openSandbox } from '../../shared/sandbox/open-sandbox.ts';
import { endpointKeys, loadModelConfig } from '../../shared/model-config.ts';
import { nearestHint } from '../../shared/yaml-file.ts';
import { type Fleet, startFleet } from '../../workers/fleet.ts';
import { type HealthServer, startHealthServer } from '../../workers/health-server.ts';
import { type Presence, announce } from '../../workers/presence.ts';
import { startShippedScripts } from '../../workers/scripted/shipped.ts';
import { DefinitionsCache, type WorkerContext } from '../../workers/worker-context.ts';
import { allPersonas, modelsFileOf, usualPolicies } from '../policies.ts';
import { type CommandContext, type Session, withSession } from '../session.ts';
import { openWorkFolder, removeWorkFolder } from '../work-folder.ts';
import { count } from '../text.ts';
import { version } from '../version.ts';
import { elapsed } from '../words.ts';
import { SIMULATED } from './run.ts';

export interface WorkerFlags {
  personas?: string;
  personasDir?: string;
  concurrency: number;
  /** Conversations at once, of all personas together. */
  maxConversations?: number;
  gates?: boolean;
  provider?: string;
  exitWithParent?: boolean;
  /** Where this process says how it is; nowhere unless asked for. */
  healthPort?: number;
  healthHost: string;
  /** How long its work may go on when it is told to stop. */
  drain?: number;
}

/** `maestro worker`: consumes persona queues and, unless told otherwise, the gates and control queues. */
export async function workerCommand(context: CommandContext, flags: WorkerFlags): Promise<number> {
  const { terminal, config } = context;
  const personas = await personasToServe(context, flags);
  return withSession(context, { startRedis: false, role: 'worker' }, async (session) => {
    const isPlaying = flags.provider === 'scripted' && config.scriptedUrl === undefined;
    const scripts = isPlaying ? await startShippedScripts() : undefined;
    const scriptedUrl = scripts?.url ?? config.scriptedUrl;
    if (scriptedUrl !== undefined)
      terminal.err(`scripted provider at ${scriptedUrl}; runs that ask for it are ${SIMULATED}`);
    const home = await openWorkFolder(config.home, session.logger);
    const stopping = new AbortController();
    const launcher = new Launcher();
    startProgramsBy(launcher);
    try {
      await serveQueues({ ...context, config: { ...config, home, scriptedUrl } }, session, flags, personas, stopping);
    } finally {
      // Also when the start failed: what is left open would keep the process alive.
      stopping.abort();
      await scripts?.close();
      startProgramsBy(undefined);
      launcher.close();
      await removeWorkFolder(home, session.logger);
    }
    if (scriptedUrl !== undefined) terminal.err(SIMULATED);
    return 0;
  });
}

/** Works until told to stop. */
async function serveQueues(
  context: CommandContext,
  session: Session,
  flags: WorkerFlags,
  personas: string[],
  stopping: AbortController,
): Promise<void> {
  const { terminal, config } = context;
  const { cache } = config;
  const sandbox = await openSandbox({ mode: config.sandbox, cache, logger: session.logger });
  const measuring = await openMeasuringAids({ cache, sandbox, logger: session.logger, signal: stopping.signal });
  const processes = sandbox.settings && new MeasuringProcesses(sandbox.settings);
  const isGating = flags.gates === true || flags.personas === undefined;
  const models = await loadModelConfig(modelsFileOf(context));
  const ctx: WorkerContext = {
    config,
    redis: session.redis,
    redisUrl: session.redisUrl,
    store: session.store,
    blobs: session.blobs,
    sandbox,
    models,
    endpointKeys: endpointKeys(models, context.env),
    definitions: new DefinitionsCache(session.blobs),
    measuring: { ...measuring, processes },
    logger: session.logger,
  };
  // What is long in coming is done before a job could wait for it.
  ctx.definitions.policiesOf(await usualPolicies(context));
  const serves = { personas, gates: isGating, concurrency: flags.concurrency };
  let presence: Presence | undefined;
  // The port comes first: when it is taken, no job was touched.
  const health = await openHealth(session, flags, () => presence);
  try {
    const maxConversations = flags.maxConversations ?? context.config.maxConversations;
    const fleet = await startFleet(ctx, { ...serves, maxConversations });
    presence = await announce(ctx, fleet, { ...serves, version: version() });
    if (health !== undefined) terminal.err(`health   ${health.url}/readyz (metrics: ${health.url}/metrics)`);
    terminal.err(
      `worker ready: ${fleet.queues.length} queues, sandbox ${sandbox.description}, blobs ${session.blobs.location}`,
    );
    // In the background: what a measurement needs first is proven first.
    const prove = async (): Promise<void> => {
      try {
        terminal.err(await measuring.selftest.proveAll(allCollectors.map((one) => processes?.separate(one) ?? one)));
      } catch (err) {
        if (!stopping.signal.aborted) terminal.err(`the self-test could not be run: ${errorMessage(err)}`);
      }
    };
    const proven = isGating ? prove() : Promise.resolve();
    await untilDrained(context, flags, { fleet, presence });
    // Not before: a running job may wait for a self-test.
    stopping.abort();
    await proven;
  } finally {
    await presence?.close();
    await health?.close();
    processes?.close();
  }
}

/** Waits to be told to stop, and then until what is under way has ended or was given back. */
async function untilDrained(
  context: CommandContext,
  flags: WorkerFlags,
  { fleet, presence }: { fleet: Fleet; presence: Presence },
): Promise<void> {
  const { terminal, config } = context;
  const isAlone = await untilStopped(context, flags);
  // Whoever started it is gone without a word, and a private Redis with it: there is nothing to finish for.
  const drainMs = isAlone ? ALONE_CLOSE_MS : (flags.drain ?? config.drainMs);
  terminal.err(
    `worker stops: takes no new jobs, and gives back what has not ended within ${elapsed(drainMs)} (again: at once)`,
  );
  const drained = fleet.close(drainMs);
  void presence.tell();
  await drained;
  const { givenBack } = fleet.load();
  if (givenBack > 0) terminal.err(`${count(givenBack, 'job')} given back, for other workers to go on with`);
}

const openHealth = async (
  { redis }: Session,
  { healthPort, healthHost }: WorkerFlags,
  presence: () => Presence | undefined,
): Promise<HealthServer | undefined> =>
  healthPort === undefined ? undefined : startHealthServer({ host: healthHost, port: healthPort, redis, presence });

/** `--gates` alone serves only the gates; `--personas` alone only those personas; neither serves everything. */
async function personasToServe(context: CommandContext, flags: WorkerFlags): Promise<string[]> {
  const known = personasIn(await allPersonas(context, flags));
  if (flags.personas === undefined) return flags.gates === true ? [] : Object.keys(known).toSorted();
  return flags.personas.split(',').map((name) => {
    const persona = findPersona(known, name.trim());
    if (persona === undefined) {
      throw new FleetError(
        'BAD_USAGE',
        `there is no persona "${name.trim()}"${nearestHint(name.trim(), Object.keys(known))}`,
      );
    }
    return persona.name;
  });
}

const ALONE_CLOSE_MS = 1_000;

/** Waits for Ctrl-C, SIGTERM or, when this process belongs to another, for that one's end: then the answer is true. */
async function untilStopped(context: CommandContext, flags: WorkerFlags): Promise<boolean> {
  const { signal } = context;
  if (signal.aborted) return false;
  const stopped = once(signal, 'abort');
  if (flags.exitWithParent !== true) {
    await stopped;
    return false;
  }
  process.stdin.resume();
  await Promise.race([stopped, once(process.stdin, 'end')]);
  // While it is read, it keeps this process alive.
  process.stdin.destroy();
  return !signal.aborted;
}
