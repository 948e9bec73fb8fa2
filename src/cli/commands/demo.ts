import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { runCosts } from '../../producer/cost-report.ts';
import { enqueueRun } from '../../producer/enqueue.ts';
import { startServer } from '../../producer/server.ts';
import type { CostTotals } from '../../shared/call-ledger.ts';
import { EXIT, FleetError } from '../../shared/errors.ts';
import { PACKAGE_ROOT } from '../../shared/package-root.ts';
import type { RunPlan } from '../../shared/run-record.ts';
import { cancelRun } from '../../producer/run-control.ts';
import { nearestHint } from '../../shared/yaml-file.ts';
import { shippedScenarios, startShippedScripts } from '../../workers/scripted/shipped.ts';
import { type ChildWorker, sharedSettings, startChildWorker, withoutModelKeys } from '../children.ts';
import { ownPersonas } from '../policies.ts';
import { type CommandContext, type Session, withSession } from '../session.ts';
import { count } from '../text.ts';
import { costSourcesOf } from './costs.ts';
import { followRun } from './follow.ts';
import { verifySealed } from './verify.ts';
import { type RunFlags, SIMULATED, planFromFlags, showResult } from './run.ts';
import { commandFor } from './run-result.ts';

export interface DemoFlags extends RunFlags {
  sabotage?: string;
  workers: number;
}

const WORKFLOW = 'url-shortener';
const REQUIREMENT =
  'A team wants its own URL shortener: a small service and page where anybody in the office can shorten an http or https link, ' +
  'choose an alias, see how often a link was followed, and remove it again. It must run without any other service.';

/**
 * `maestro demo`: a private Redis, two worker processes that share only Redis and the blob store, the API,
 * and one run of the shipped workflow. What it started is stopped again, whatever happens.
 */
export async function demoCommand(context: CommandContext, flags: DemoFlags): Promise<number> {
  const isScripted = flags.provider === 'scripted';
  if (isScripted) context.terminal.err(SIMULATED);
  else assertKey(context);
  const scenario = flags.sabotage === undefined ? flags.scenario : await sabotageScenario(flags.sabotage, isScripted);
  const input = flags.input.length > 0 || flags.inputFile !== undefined ? flags.input : [`requirement=${REQUIREMENT}`];
  // Keys of its own: workers that wait on the same Redis take no work of a demo, and its workers none of theirs.
  const prefix = `{maestro-demo-${randomBytes(4).toString('hex')}}`;
  const own = { ...context, config: { ...context.config, prefix } };
  return withSession(own, { startRedis: true }, (session) => runDemo(own, session, { ...flags, scenario, input }));
}

async function runDemo(context: CommandContext, session: Session, flags: DemoFlags): Promise<number> {
  const { terminal, config, signal } = context;
  const isScripted = flags.provider === 'scripted';
  const plan = await planFromFlags(context, session, WORKFLOW, flags);
  if (!isScripted) announceCost(context, plan);
  const stops: (() => Promise<void>)[] = [];
  try {
    const scripts = isScripted ? await startShippedScripts() : undefined;
    if (scripts !== undefined) stops.push(() => scripts.close());
    terminal.err(`redis    ${session.server.description}`);
    const workersHome = join(config.home, 'demo-workers');
    const env = {
      ...(isScripted ? withoutModelKeys(context.env) : context.env),
      ...(await sharedSettings(config, session.redisUrl)),
      ...ownPersonas(context, {}),
      MAESTRO_LOG_LEVEL: 'info',
      ...(scripts === undefined ? {} : { MAESTRO_SCRIPTED_URL: scripts.url }),
    };
    const workers = await startWorkers(flags.workers, {
      home: workersHome,
      env,
      drainMs: session.config.drainMs,
      signal,
      stops,
    });
    terminal.err(`workers  ${count(workers.length, 'process')} with a work folder each, logs in ${workersHome}`);
    const server = await startServer({
      host: '127.0.0.1',
      port: 0,
      token: undefined,
      redisUrl: session.redisUrl,
      prefix: config.prefix,
      blobs: session.blobs,
      packageRoot: PACKAGE_ROOT,
      provider: isScripted ? 'scripted' : 'anthropic',
      logger: session.logger,
    });
    stops.unshift(() => server.close());
    terminal.err(`watch    ${server.url}/ (queues: ${server.url}/queues)`);
    await enqueueRun({ ...session, prefix: config.prefix }, plan);
    terminal.err(`run      ${plan.runId} of ${plan.workflow}, ${plan.phases.length} phases`);
    terminal.err(`look     ${commandFor(context)} status ${plan.runId}\n`);
    const hasEnded = await Promise.race([
      followRun(session, plan, terminal, signal, commandFor(context)),
      ...workers.map((worker) => worker.failed),
    ]);
    if (hasEnded) {
      const isVerified = await verifySealed(context, session, plan.runId);
      const code = await showResult(context, session, plan, flags);
      if (!isVerified) return EXIT.verificationFailed;
      if (isScripted && code === EXIT.passed)
        assertCached((await runCosts(await costSourcesOf(context, session), plan.runId)).totals);
      return code;
    }
    await cancelRun(
      { ...session, prefix: session.config.prefix },
      plan.runId,
      'stopped by the person who started the demo',
    );
    terminal.err(`run ${plan.runId} is cancelled; everything the demo started is being stopped`);
    return EXIT.cancelled;
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}

/** Starts workers side by side. When one does not start, the others are settled before it is told. */
async function startWorkers(
  workers: number,
  options: {
    home: string;
    env: NodeJS.ProcessEnv;
    drainMs: number;
    signal: AbortSignal;
    stops: (() => Promise<void>)[];
  },
): Promise<ChildWorker[]> {
  const names = Array.from({ length: workers }, (_, index) => `worker-${index + 1}`);
  const { home, env, drainMs, signal, stops } = options;
  const starting = names.map(async (name) => {
    const worker = await startChildWorker({ name, home, env, args: ['--concurrency', '2'], drainMs, signal });
    stops.push(() => worker.stop());
    return worker;
  });
  await Promise.allSettled(starting);
  return Promise.all(starting);
}

function assertKey({ config }: CommandContext): void {
  const { apiKey, authToken } = config.anthropic;
  if (apiKey !== undefined || authToken !== undefined) return;
  throw new FleetError('MODEL_UNAVAILABLE', 'the provider "anthropic" has no key', {
    remedy: 'Set ANTHROPIC_API_KEY, or leave --provider away for a simulated run.',
  });
}

function announceCost({ terminal }: CommandContext, plan: RunPlan): void {
  const limits = [
    ...(plan.budget.usd === undefined ? [] : [`$${plan.budget.usd}`]),
    ...(plan.budget.tokens === undefined ? [] : [`${plan.budget.tokens} tokens`]),
  ];
  if (limits.length === 0)
    throw new FleetError('BAD_USAGE', 'a paid demo needs a budget', {
      remedy: 'Give --budget-usd or --budget-tokens.',
    });
  const models = [...new Set(plan.phases.map((phase) => phase.model))].join(', ');
  terminal.err(
    `this run asks ${models} and costs at most ${limits.join(' and ')}: the worst case of every call is set aside before it is made`,
  );
}

const LEAST_CACHED = 0.8;

/** Throws unless most of what the conversations sent again came from the prompt cache. */
export function assertCached(totals: Pick<CostTotals, 'cachedShare'> | null): void {
  const share = totals?.cachedShare ?? null;
  if (share !== null && share >= LEAST_CACHED) return;
  const found =
    share === null ? 'nothing that was sent again was counted' : `only ${(share * 100).toFixed(1)}% of it did`;
  throw new FleetError(
    'INTERNAL',
    `the demo is not what it should be: at least ${LEAST_CACHED * 100}% of the input that is sent again must come from the cache, and ${found}`,
  );
}

async function sabotageScenario(gate: string, isScripted: boolean): Promise<string> {
  if (!isScripted) throw new FleetError('BAD_USAGE', '--sabotage needs the scripted provider');
  const prefix = 'sabotage:';
  const gates = (await shippedScenarios(WORKFLOW))
    .filter((name) => name.startsWith(prefix))
    .map((name) => name.slice(prefix.length));
  if (gates.includes(gate)) return `${prefix}${gate}`;
  throw new FleetError('BAD_USAGE', `no sabotage of the gate "${gate}" is scripted${nearestHint(gate, gates)}`, {
    remedy: `Use one of: ${gates.join(', ')}.`,
  });
}
