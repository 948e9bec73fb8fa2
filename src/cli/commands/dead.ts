import { listDead, redrive } from '../../producer/dead-letters.ts';
import { EXIT, FleetError } from '../../shared/errors.ts';
import { TERMINAL_RUN, originMark } from '../../shared/run-record.ts';
import { audited } from '../audited.ts';
import { type CommandContext, type Session, withSession } from '../session.ts';
import { oneLine } from '../text.ts';
import { parseRunId } from './run-id.ts';

interface DeadFlags {
  json?: boolean;
  redrive?: string;
  all?: boolean;
}

/** `maestro dead`: the phases that failed for good, over all runs; `--redrive RUN` or `--all` lets their runs go on. */
export function deadCommand(context: CommandContext, flags: DeadFlags): Promise<number> {
  const { terminal } = context;
  if (flags.redrive !== undefined && flags.all === true)
    throw new FleetError('BAD_USAGE', '--redrive RUN and --all are two ways to say it', { remedy: 'Use one of them.' });
  return withSession(context, { startRedis: false }, async (session) => {
    if (flags.redrive !== undefined || flags.all === true) return redriveRuns(context, session, flags);
    const dead = await listDead(session.store);
    if (flags.json === true) terminal.out(JSON.stringify({ dead }, null, 2));
    else if (dead.length === 0) terminal.err('no dead letters: no phase has failed for good');
    for (const letter of flags.json === true ? [] : dead) {
      const attempts = letter.attempts === null ? '' : `, attempt ${letter.attempts}`;
      const who = letter.persona === null ? '' : ` ${letter.persona}${attempts}`;
      const at = letter.at.slice(0, 19).replace('T', ' ');
      terminal.out(`${letter.runId}  ${at}  ${letter.phase}${who}${originMark(letter)}`);
      terminal.out(`    ${oneLine(letter.error)}`);
    }
    return EXIT.passed;
  });
}

async function redriveRuns({ terminal }: CommandContext, session: Session, flags: DeadFlags): Promise<number> {
  const dead = await listDead(session.store);
  const ids =
    flags.redrive === undefined
      ? dead.filter((letter) => TERMINAL_RUN.includes(letter.runStatus)).map((letter) => letter.runId)
      : [parseRunId(flags.redrive)];
  if (flags.redrive !== undefined && !dead.some((letter) => letter.runId === flags.redrive))
    throw new FleetError('CONFLICT', `run ${flags.redrive} has no dead letters`, {
      remedy: 'List them with `maestro dead`; `maestro resume RUN` takes up runs that ended in another way.',
    });
  const target = { ...session, prefix: session.config.prefix };
  const { resumed, refused } = await redrive(target, ids, (id, resume) =>
    audited(session, 'dead.redrive', { id }, resume),
  );
  if (flags.json === true) terminal.out(JSON.stringify({ resumed, refused }, null, 2));
  for (const { runId, phases } of flags.json === true ? [] : resumed)
    terminal.out(`run ${runId} goes on with ${phases.join(', ')}`);
  for (const { reason } of refused) terminal.err(reason);
  if (resumed.length === 0 && refused.length === 0) terminal.err('nothing to redrive');
  return refused.length > 0 ? EXIT.badInput : EXIT.passed;
}
