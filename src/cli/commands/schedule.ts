import { type Schedule, addSchedule, listSchedules, removeSchedule } from '../../producer/schedule.ts';
import { EXIT, FleetError } from '../../shared/errors.ts';
import { audited } from '../audited.ts';
import { type CommandContext, withSession } from '../session.ts';
import { type RunFlags, SIMULATED, planFromFlags } from './run.ts';

interface JsonFlag {
  json?: boolean;
}

const line = ({ name, workflow, cron, tz, next }: Schedule): string =>
  `${name.padEnd(20)} ${workflow.padEnd(20)} ${cron.padEnd(16)} ${tz.padEnd(16)} next ${next ?? 'never'}`;

/** `maestro schedule add WORKFLOW --cron EXPR`: the workflow is checked and planned now, and runs as it is now. */
export function scheduleAddCommand(
  context: CommandContext,
  workflow: string,
  flags: RunFlags & { cron: string; tz: string; name?: string },
): Promise<number> {
  const { terminal } = context;
  return withSession(context, { startRedis: false }, async (session) => {
    const plan = await planFromFlags(context, session, workflow, flags);
    const target = { ...session, prefix: session.config.prefix };
    const { cron, tz, name = plan.workflow } = flags;
    const schedule = await audited(session, 'schedule.add', { schedule: name, workflow: plan.workflow }, () =>
      addSchedule(target, { name, cron, tz, plan }),
    );
    if (plan.provider === 'scripted') terminal.err(SIMULATED);
    if (flags.json === true) terminal.out(JSON.stringify(schedule, null, 2));
    else {
      terminal.out(line(schedule));
      terminal.err('its runs are started by `maestro serve` or `maestro up`, whichever is running');
    }
    return EXIT.passed;
  });
}

/** `maestro schedule list`: the next one first. */
export function scheduleListCommand(context: CommandContext, flags: JsonFlag): Promise<number> {
  const { terminal } = context;
  return withSession(context, { startRedis: false }, async (session) => {
    const schedules = await listSchedules({ ...session, prefix: session.config.prefix });
    if (flags.json === true) terminal.out(JSON.stringify({ schedules }, null, 2));
    else if (schedules.length === 0)
      terminal.err('no schedules: add one with `maestro schedule add WORKFLOW --cron EXPR`');
    else for (const schedule of schedules) terminal.out(line(schedule));
    return EXIT.passed;
  });
}

/** `maestro schedule remove NAME`: nothing new is started; runs under way go on. */
export function scheduleRemoveCommand(context: CommandContext, name: string, flags: JsonFlag): Promise<number> {
  const { terminal } = context;
  return withSession(context, { startRedis: false }, async (session) => {
    await audited(session, 'schedule.remove', { schedule: name }, async () => {
      if (await removeSchedule({ ...session, prefix: session.config.prefix }, name)) return;
      throw new FleetError('NOT_FOUND', `there is no schedule "${name}"`, {
        remedy: 'List them with `maestro schedule list`.',
      });
    });
    if (flags.json === true) terminal.out(JSON.stringify({ name, removed: true }, null, 2));
    else terminal.out(`schedule ${name} is removed; runs that it started go on`);
    return EXIT.passed;
  });
}
