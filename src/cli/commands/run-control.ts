import { join, resolve } from 'node:path';
import { editPhase } from '../../producer/edit-phase.ts';
import { type Resumed, type ResumeRequest, resumeRun } from '../../producer/resume.ts';
import { cancelRun, pauseRun } from '../../producer/run-control.ts';
import { EXIT, FleetError } from '../../shared/errors.ts';
import type { RunId } from '../../shared/names.ts';
import type { Budget } from '../../shared/workflow-schema.ts';
import { audited } from '../audited.ts';
import { type CommandContext, type Session, withSession } from '../session.ts';
import { followRun } from './follow.ts';
import { showResult } from './run.ts';
import { parseRunId } from './run-id.ts';

interface JsonFlag {
  json?: boolean;
}

const attach = <T>(context: CommandContext, use: (session: Session) => Promise<T>): Promise<T> =>
  withSession(context, { startRedis: false }, use);
const targetOf = (session: Session) => ({ ...session, prefix: session.config.prefix });

/** `maestro cancel RUN`: nothing new starts, and running work stops everywhere. */
export function cancelCommand(
  context: CommandContext,
  id: string,
  flags: JsonFlag & { reason: string },
): Promise<number> {
  const runId = parseRunId(id);
  return attach(context, async (session) => {
    const changed = await audited(session, 'cancel', { id: runId }, () =>
      cancelRun(targetOf(session), runId, flags.reason),
    );
    const words = (status: string): string =>
      changed ? `run ${runId} is cancelled` : `run ${runId} had ended before: ${status}`;
    return tell(context, session, runId, { changed, flags, words });
  });
}

/** `maestro pause RUN`: nothing new starts; conversations under way end their turn and wait, saved. */
export function pauseCommand(
  context: CommandContext,
  id: string,
  flags: JsonFlag & { reason: string },
): Promise<number> {
  const runId = parseRunId(id);
  return attach(context, async (session) => {
    const changed = await audited(session, 'pause', { id: runId }, () =>
      pauseRun(targetOf(session), runId, flags.reason),
    );
    const words = (): string =>
      `run ${runId} is paused${changed ? '' : ' already'}: maestro resume ${runId} lets it go on`;
    return tell(context, session, runId, { changed, flags, words });
  });
}

async function tell(
  { terminal }: CommandContext,
  { store }: Session,
  runId: RunId,
  of: { changed: boolean; flags: JsonFlag; words: (status: string) => string },
): Promise<number> {
  const { status } = await store.getRun(runId);
  if (of.flags.json === true) terminal.out(JSON.stringify({ runId, status, changed: of.changed }, null, 2));
  else terminal.out(of.words(status));
  return EXIT.passed;
}

export interface TakeUpFlags extends JsonFlag {
  phase?: string;
  from?: string;
  edits?: string;
  by?: string;
  budgetUsd?: number;
  budgetTokens?: number;
  reason: string;
  follow?: boolean;
}

/** `maestro resume RUN`: a paused run goes on; of one that ended, all that did not pass is run again. */
export function resumeCommand(context: CommandContext, id: string, flags: TakeUpFlags): Promise<number> {
  return takeUp(context, id, flags, { command: 'resume', request: {} });
}

/** `maestro retry RUN --phase P | --from P`: one phase that did not pass, or everything from a phase onward. */
export function retryCommand(context: CommandContext, id: string, flags: TakeUpFlags): Promise<number> {
  const { phase, from } = flags;
  if ((phase === undefined) === (from === undefined))
    throw new FleetError(
      'BAD_USAGE',
      'name the phase: --phase P (one that did not pass) or --from P (and all after it)',
    );
  const takeUpOf =
    phase === undefined ? ({ kind: 'from', phase: from ?? '' } as const) : ({ kind: 'phase', phase } as const);
  return takeUp(context, id, flags, { command: 'retry', request: { takeUp: takeUpOf } });
}

function takeUp(
  context: CommandContext,
  id: string,
  flags: TakeUpFlags,
  { command, request }: { command: 'resume' | 'retry'; request: ResumeRequest },
): Promise<number> {
  const runId = parseRunId(id);
  const { terminal, signal } = context;
  return attach(context, async (session) => {
    const budget = budgetOf(flags);
    const resumed = await audited(session, command, targetWords(runId, flags), async () => {
      const edited = await editsOf(context, session, runId, flags);
      return resumeRun(targetOf(session), runId, {
        ...request,
        reason: flags.reason,
        ...(edited === undefined ? {} : { edited }),
        ...(budget === undefined ? {} : { budget }),
      });
    });
    if (flags.follow !== true) {
      if (flags.json === true) terminal.out(JSON.stringify(resumed, null, 2));
      else terminal.out(resumedText(resumed));
      return EXIT.passed;
    }
    terminal.err(resumedText(resumed));
    const plan = await session.store.getPlan(runId);
    if (!(await followRun(session, plan, terminal, signal))) return EXIT.cancelled;
    return showResult(context, session, plan, flags);
  });
}

/** What is taken up, for the audit log. */
const targetWords = (runId: RunId, { phase, from, by }: TakeUpFlags): Record<string, string> => ({
  id: runId,
  ...(phase === undefined ? {} : { phase }),
  ...(from === undefined ? {} : { from }),
  ...(by === undefined ? {} : { by }),
});

function resumedText({ runId, phases, changed }: Resumed): string {
  if (!changed) return `run ${runId} is under way; there was nothing to do`;
  if (phases.length === 0) return `run ${runId} goes on`;
  return `run ${runId} is taken up again: ${phases.join(', ')}`;
}

const budgetOf = ({ budgetUsd, budgetTokens }: TakeUpFlags): Budget | undefined =>
  budgetUsd === undefined && budgetTokens === undefined
    ? undefined
    : {
        ...(budgetUsd === undefined ? {} : { usd: budgetUsd }),
        ...(budgetTokens === undefined ? {} : { tokens: budgetTokens }),
      };

/** `--edits DIR`: the folder's files take the place of the phase's own, as a commit of the person who edited them. */
async function editsOf(
  { cwd }: CommandContext,
  session: Session,
  runId: RunId,
  flags: TakeUpFlags,
): Promise<ResumeRequest['edited']> {
  if (flags.edits === undefined) return undefined;
  const phase = flags.phase ?? flags.from;
  if (phase === undefined || flags.by === undefined)
    throw new FleetError('BAD_USAGE', '--edits needs --phase, whose files they are, and --by, who made them');
  const { store, blobs, config } = session;
  const scratch = join(config.home, 'work');
  const folder = resolve(cwd, flags.edits);
  return { phase, commit: await editPhase({ store, blobs, runId, phase, folder, by: flags.by, scratch }) };
}
