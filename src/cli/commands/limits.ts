import { EXIT } from '../../shared/errors.ts';
import { type EndpointStanding, type ModelStanding, readModelLimits } from '../../shared/model-limits.ts';
import { type CommandContext, withSession } from '../session.ts';
import { count, oneLine } from '../text.ts';
import { elapsed } from '../words.ts';

/** `maestro limits`: which models and endpoints the fleet may call now, and who waits for them. */
export function limitsCommand(context: CommandContext, flags: { json?: boolean }): Promise<number> {
  const { terminal } = context;
  return withSession(context, { startRedis: false }, async ({ redis, config }) => {
    const limits = await readModelLimits(redis, config.prefix);
    if (flags.json === true) terminal.out(JSON.stringify(limits, null, 2));
    else if (limits.models.length === 0) terminal.err('no model was called within the last day');
    for (const endpoint of flags.json === true ? [] : limits.endpoints) {
      terminal.out(endpointLine(endpoint));
      for (const model of limits.models.filter((one) => one.endpoint === endpoint.endpoint))
        for (const line of modelLines(model)) terminal.out(`  ${line}`);
    }
    return EXIT.passed;
  });
}

function endpointLine({ endpoint, breaker, failures, opensForMs, error }: EndpointStanding): string {
  if (breaker === 'open')
    return `${endpoint}: not called for ${elapsed(opensForMs)}, after ${count(failures, 'failure')}: ${oneLine(error)}`;
  if (breaker === 'half_open') return `${endpoint}: one call tries whether it answers again: ${oneLine(error)}`;
  return failures === 0
    ? `${endpoint}: answers`
    : `${endpoint}: ${count(failures, 'failure')} in a row: ${oneLine(error)}`;
}

function modelLines(model: ModelStanding): string[] {
  const { pausedForMs, callsAllowed, callsUnderWay, waiting, parked, pauses } = model;
  const pace = callsAllowed === null ? '' : ` of ${callsAllowed} at once after a pause`;
  const state = pausedForMs > 0 ? `paused for ${elapsed(pausedForMs)}: ${oneLine(model.reason)}` : 'is called';
  const budgets = model.budgets.map(({ kind, perMinute, left, source }) => {
    const unit = kind === 'requests' ? 'requests' : kind === 'tokens' ? 'tokens' : `${kind} tokens`;
    return `  ${left} of ${perMinute} ${unit} a minute left (${source})`;
  });
  return [
    `${model.model}: ${state}`,
    `  ${count(callsUnderWay, 'call')} under way${pace}, ${waiting} waiting, ${parked} parked, paused ${count(pauses, 'time')} so far`,
    ...budgets,
  ];
}
