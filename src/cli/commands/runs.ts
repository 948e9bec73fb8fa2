import { resolve } from 'node:path';
import { approvePhase } from '../../producer/enqueue.ts';
import { idleQueues } from '../../producer/queue-workers.ts';
import { watchRun } from '../../producer/watch.ts';
import { EXIT, FleetError } from '../../shared/errors.ts';
import {
  type PhaseRecord,
  type RunEvent,
  RunStatus,
  TERMINAL_PHASE,
  TERMINAL_RUN,
  type RunRecord,
  originMark,
} from '../../shared/run-record.ts';
import { openQuestions } from '../../shared/question.ts';
import { PutBackLog } from '../../shared/put-back.ts';
import { phaseLines } from '../phase-lines.ts';
import { audited } from '../audited.ts';
import { type CommandContext, type Session, withSession } from '../session.ts';
import { oneLine } from '../text.ts';
import { conversationText, paintStatus, waitingText, watchedText } from '../words.ts';
import { parseRunId } from './run-id.ts';
import { conflictLines, exitOf, resultJson, summaryLines, writeReport, writeRepository } from './run-result.ts';

interface JsonFlag {
  json?: boolean;
}

const attach = <T>(context: CommandContext, use: (session: Session) => Promise<T>): Promise<T> =>
  withSession(context, { startRedis: false }, use);

function parseStatus(word: string): RunStatus {
  const parsed = RunStatus.safeParse(word.trim());
  if (parsed.success) return parsed.data;
  throw new FleetError('BAD_USAGE', `"${word}" is not the status of a run`, {
    remedy: `Use one of: ${RunStatus.options.join(', ')}.`,
  });
}

/** `maestro runs`: newest first. */
export function runsCommand(
  context: CommandContext,
  flags: JsonFlag & { limit: number; status?: string },
): Promise<number> {
  const { terminal } = context;
  const statuses = flags.status?.split(',').map(parseStatus);
  return attach(context, async ({ store }) => {
    const filter = statuses === undefined ? {} : { statuses };
    const { runs, unreadable } = await store.listRuns({ limit: flags.limit, ...filter });
    for (const id of unreadable)
      terminal.err(`run ${id} was stored by another version of maestro and cannot be read by this one`);
    if (flags.json === true) terminal.out(JSON.stringify({ runs, unreadable }, null, 2));
    else if (runs.length === 0 && unreadable.length === 0)
      terminal.err('no runs yet: start one with `maestro run WORKFLOW`');
    for (const run of flags.json === true ? [] : runs) {
      const mark = originMark(run);
      terminal.out(
        `${run.runId}  ${run.createdAt.slice(0, 19).replace('T', ' ')}  ${run.workflow.padEnd(20)} ${paintStatus(terminal.outColors, run.status)}${mark}`,
      );
    }
    return EXIT.passed;
  });
}

/** `maestro status RUN`: how a run stands now. */
export function statusCommand(context: CommandContext, id: string, flags: JsonFlag): Promise<number> {
  const { terminal } = context;
  const runId = parseRunId(id);
  return attach(context, async (session) => {
    const { store } = session;
    const run = await store.getRun(runId);
    const phases = await store.getPhases(runId);
    const questions = openQuestions(await store.getQuestions(runId));
    const waits = await waitsFor(session, run, phases);
    if (flags.json === true) {
      terminal.out(JSON.stringify({ ...run, phases, questions, ...waits }, null, 2));
      return TERMINAL_RUN.includes(run.status) ? exitOf(run) : EXIT.passed;
    }
    const { outColors: colors } = terminal;
    const reason = run.reason === '' ? '' : `: ${oneLine(run.reason)}`;
    terminal.out(`${run.runId} ${run.workflow} ${paintStatus(colors, run.status)}${originMark(run)}${reason}`);
    if (run.generation > 0)
      terminal.out(`  taken up again ${run.generation === 1 ? 'once' : `${run.generation} times`}`);
    for (const line of phaseLines(colors, phases)) terminal.out(line);
    for (const asked of questions)
      terminal.out(colors.yellow(`  ${asked.phase}: ${asked.persona} asks (${asked.id}): ${oneLine(asked.question)}`));
    if (waits.startAt !== undefined) terminal.out(`  starts at ${waits.startAt}`);
    for (const queue of waits.idleQueues) terminal.out(colors.yellow(`  no worker consumes ${queue}`));
    for (const put of waits.putBack) terminal.out(colors.yellow(`  ${put.jobId} was put back: ${put.reason}`));
    return TERMINAL_RUN.includes(run.status) ? exitOf(run) : EXIT.passed;
  });
}

/** Why a run that has not ended may stand still: its time has not come, or nobody takes its jobs. */
async function waitsFor(
  session: Session,
  run: RunRecord,
  phases: readonly PhaseRecord[],
): Promise<{ startAt?: string; idleQueues: string[]; putBack: { jobId: string; reason: string }[] }> {
  if (TERMINAL_RUN.includes(run.status)) return { idleQueues: [], putBack: [] };
  const { phases: planned, startAt } = await session.store.getPlan(run.runId);
  const open = new Set(phases.filter(({ status }) => !TERMINAL_PHASE.includes(status)).map(({ phase }) => phase));
  const personas = new Set(planned.filter(({ name }) => open.has(name)).flatMap((phase) => phase.personas));
  const putBack = await new PutBackLog(session.redis, session.config.prefix).recent();
  return {
    ...(startAt === undefined || Date.parse(startAt) < Date.now() ? {} : { startAt }),
    idleQueues: await idleQueues(session, [...personas]),
    putBack: putBack.filter(({ jobId }) => jobId.startsWith(run.runId)),
  };
}

/** `maestro events RUN`: the append-only log, one line an event; `--follow` waits for more until the run has ended. */
export function eventsCommand(
  context: CommandContext,
  id: string,
  flags: JsonFlag & { follow?: boolean; from: number },
): Promise<number> {
  const { terminal, signal } = context;
  const runId = parseRunId(id);
  return attach(context, async (session) => {
    await session.store.getPlan(runId);
    const collected: RunEvent[] = [];
    const show = (event: RunEvent): void => {
      if (flags.json === true) collected.push(event);
      else
        terminal.out(
          `${String(event.seq).padStart(5)}  ${event.at}  ${event.type.padEnd(18)} ${oneLine(describe(event))}`,
        );
    };
    if (flags.follow === true) {
      const { redisUrl, store, config } = session;
      for await (const event of watchRun({
        redisUrl,
        prefix: config.prefix,
        store,
        runId,
        fromSeq: flags.from,
        signal: AbortSignal.any([signal, terminal.outClosed]),
      }))
        show(event);
    } else {
      for (let from = flags.from; ;) {
        const page = await session.store.readEvents(runId, from);
        for (const event of page) show(event);
        const last = page.at(-1);
        if (last === undefined) break;
        from = last.seq;
      }
    }
    if (flags.json === true) terminal.out(JSON.stringify({ runId, events: collected }, null, 2));
    return EXIT.passed;
  });
}

function describe(event: RunEvent): string {
  switch (event.type) {
    case 'run.queued':
      return event.workflow;
    case 'run.status':
    case 'run.finished':
      return `${event.status} ${event.reason}`;
    case 'run.resumed':
      return `generation ${event.generation}, again: ${event.phases.join(', ')}${event.reason === '' ? '' : ` (${event.reason})`}`;
    case 'phase.status':
      return `${event.phase} ${event.status} ${event.reason}`;
    case 'persona.turn':
      return `${event.phase} ${event.persona} ${event.kind} round ${event.round} turn ${event.turn}: ${event.tools.join(', ')}`;
    case 'persona.done':
      return `${event.phase} ${event.persona} ${event.kind} round ${event.round}`;
    case 'persona.fault':
      return `${event.phase} ${event.persona} attempt ${event.attempt}: ${event.message}`;
    case 'persona.refused':
    case 'files.shared':
      return `${event.phase} round ${event.round}: ${watchedText(event)}`;
    case 'model.waiting':
      return `${event.phase} ${waitingText(event)}`;
    case 'model.fallback':
    case 'conversation.compacted':
    case 'conversation.restarted':
    case 'conversation.circling':
      return `${event.phase} round ${event.round}: ${conversationText(event)}`;
    case 'gates.started':
      return `${event.phase} round ${event.round}`;
    case 'gate.verdict':
      return `${event.phase} round ${event.round}: ${event.verdict.verdict}`;
    case 'rework.requested':
      return `${event.phase} round ${event.round}: ${event.headline}`;
    case 'question.asked':
      return `${event.phase} ${event.persona} asks (${event.id}): ${oneLine(event.question)}`;
    case 'question.answered':
      return `${event.phase} ${event.id} answered by ${oneLine(event.answer.by)}: ${oneLine(event.answer.text)}`;
    case 'question.withdrawn':
      return `${event.phase} ${event.id} withdrawn: ${oneLine(event.reason)}`;
    case 'approval.requested':
      return `${event.phase} by ${event.role}`;
    case 'approval.recorded':
      return `${event.approval.phase} ${event.approval.decision} by ${event.approval.by} (${event.approval.role})`;
  }
}

/** `maestro approve RUN PHASE --role R --by NAME [--reject] [--note TEXT] [--round N]`. */
export function approveCommand(
  context: CommandContext,
  id: string,
  phase: string,
  flags: JsonFlag & { role: string; by: string; reject?: boolean; note: string; round?: number },
): Promise<number> {
  const { terminal } = context;
  const runId = parseRunId(id);
  return attach(context, async (session) => {
    const decision = flags.reject === true ? 'rejected' : 'approved';
    const target = { ...session, prefix: session.config.prefix };
    const { role, by, note, round } = flags;
    const approval = await audited(session, 'approve', { id: runId, phase, role, by, decision }, () =>
      approvePhase(target, runId, { phase, role, by, decision, note, round, simulated: false }),
    );
    if (flags.json === true) terminal.out(JSON.stringify(approval, null, 2));
    else terminal.out(`${phase} ${decision} by ${by} (${role})`);
    return EXIT.passed;
  });
}

/** `maestro artifacts RUN [--phase P] [--out DIR]`: writes what the run, or one phase, made as a git repository. */
export function artifactsCommand(
  context: CommandContext,
  id: string,
  flags: JsonFlag & { out?: string; phase?: string },
): Promise<number> {
  const { terminal, cwd } = context;
  const runId = parseRunId(id);
  return attach(context, async (session) => {
    const { simulated, status } = await session.store.getRun(runId);
    const out = flags.out === undefined ? undefined : resolve(cwd, flags.out);
    const exported = await writeRepository(session, runId, { out, phase: flags.phase });
    const { repository, commit, phases } = exported;
    if (flags.json === true) terminal.out(JSON.stringify({ runId, status, simulated, ...exported }, null, 2));
    else if (repository === null)
      terminal.out(
        `${flags.phase === undefined ? 'no phase' : `the phase ${flags.phase}`} of run ${runId} has made nothing yet (${status})`,
      );
    else {
      terminal.out(`${repository} holds the work of ${phases.join(', ')}${simulated ? ' [simulated]' : ''}`);
      terminal.out(`commit ${commit}; look with: git -C ${repository} log --stat`);
      for (const line of conflictLines(terminal.outColors, exported)) terminal.out(line);
    }
    return exported.conflicts.length > 0 ? EXIT.blocked : EXIT.passed;
  });
}

/** `maestro report RUN [--html FILE]`: writes the report as a page, and sums it up here. */
export function reportCommand(
  context: CommandContext,
  id: string,
  flags: JsonFlag & { html?: string },
): Promise<number> {
  const { terminal, cwd } = context;
  const runId = parseRunId(id);
  return attach(context, async (session) => {
    const html = flags.html === undefined ? undefined : resolve(cwd, flags.html);
    const written = await writeReport(session, runId, html);
    if (flags.json === true) terminal.out(JSON.stringify(resultJson(written), null, 2));
    else terminal.out([...summaryLines(terminal.outColors, written), `  report      ${written.report}`].join('\n'));
    return EXIT.passed;
  });
}
