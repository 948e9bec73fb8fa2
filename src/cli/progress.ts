import { createLogUpdate } from 'log-update';
import {
  NO_USAGE,
  type PhaseStatus,
  type RunEvent,
  type RunPlan,
  TERMINAL_PHASE,
  type Usage,
  addUsage,
  isReplayedRun,
  isSimulatedRun,
  originMark,
  spendKindOf,
} from '../shared/run-record.ts';
import type { Terminal } from './terminal.ts';
import { wrapTo } from '../gates/reports/columns.ts';
import { count, cutTo, oneLine } from './text.ts';
import {
  conversationText,
  cost,
  elapsed,
  gateColor,
  gateText,
  paintStatus,
  statusText,
  tokens,
  verdictProblems,
  waitingText,
  watchedText,
} from './words.ts';

interface Row {
  phase: string;
  status: PhaseStatus;
  who: string;
  doing: string;
  startedAt: number | undefined;
  endedAt: number | undefined;
  usage: Usage;
}

/** A line worth keeping: what it is about, what it says, and its colour. */
interface Kept {
  /** Empty below the line of the phase that it belongs to; undefined when it belongs to none. */
  phase: string | undefined;
  text: string;
  paint?: (text: string) => string;
}

const LABEL = 14;
const REDRAW_MS = 250;
/** Room for words of a persona; the whole of them stands in the report and in `maestro logs`. */
const SUMMARY_COLUMNS = 160;

/**
 * Shows a run as it goes. On a terminal: a table that is redrawn, with a line above it for everything worth keeping.
 * Elsewhere: only those lines, in plain text.
 */
export class ProgressView {
  readonly #terminal: Terminal;
  readonly #plan: RunPlan;
  readonly #command: string;
  readonly #rows: Map<string, Row>;
  #redraw: ReturnType<typeof createLogUpdate> | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #began = Date.now();

  /** `command`: how the program is called, for what people are asked to type. */
  constructor(terminal: Terminal, plan: RunPlan, command = 'maestro') {
    this.#command = command;
    this.#terminal = terminal;
    this.#plan = plan;
    this.#rows = new Map(plan.phases.map(({ name, personas }) => [name, newRow(name, personas.join(', '))]));
    if (!terminal.isLive) return;
    this.#redraw = createLogUpdate(process.stderr, { showCursor: true });
    this.#timer = setInterval(() => this.#draw(), REDRAW_MS);
    this.#timer.unref();
  }

  /** Takes in one event of the run. */
  show(event: RunEvent): void {
    this.#keep(this.#linesOf(event));
  }

  /** Says something that is no event of the run. */
  note(text: string): void {
    this.#keep([{ phase: undefined, text, paint: this.#terminal.colors.yellow }]);
  }

  /** Leaves the table as it stands and stops redrawing. */
  close(): void {
    this.#draw();
    this.freeze();
  }

  /** Never draws again: others have written below the table, so that its place is no longer known. */
  freeze(): void {
    clearInterval(this.#timer);
    this.#redraw?.done();
    this.#redraw = undefined;
  }

  /** One write for the lines and the table below them: nothing flickers, and no half of a table is left behind. */
  #keep(kept: readonly Kept[]): void {
    process.stderr.cork();
    if (kept.length > 0) this.#redraw?.clear();
    for (const line of kept) this.#terminal.err(this.#format(line));
    this.#draw();
    process.stderr.uncork();
  }

  #format({ phase, text, paint = String }: Kept): string {
    const label = (phase ?? '').padEnd(LABEL);
    if (this.#redraw === undefined) return phase === undefined ? paint(text) : `${label} ${paint(text)}`;
    const room = Math.max(20, this.#terminal.columns() - label.length - 2);
    const indent = /^\s*/.exec(text)?.[0] ?? '';
    const lines = wrapTo(text.trimStart(), room - indent.length);
    return lines
      .map((line, index) => `${index === 0 ? label : ' '.repeat(label.length)} ${indent}${paint(line)}`)
      .join('\n');
  }

  #linesOf(event: RunEvent): Kept[] {
    const { colors } = this.#terminal;
    switch (event.type) {
      case 'run.queued':
      case 'run.status':
      case 'run.finished':
        return [];
      case 'run.resumed':
        for (const phase of event.phases)
          this.#change(phase, (row) => Object.assign(row, { status: 'waiting', doing: '', endedAt: undefined }));
        return [{ phase: undefined, text: `taken up again: ${event.phases.join(', ')}` }];
      case 'phase.status':
        return this.#onPhase(event);
      case 'persona.turn':
        this.#change(event.phase, (row) => {
          row.usage = addUsage(row.usage, event.usage);
          const review = event.kind === 'review' ? `review by ${event.persona}, ` : '';
          row.doing = oneLine(`${review}turn ${event.turn}: ${event.tools.join(', ') || 'thinking'}`);
        });
        return [];
      case 'persona.done': {
        this.#change(event.phase, (row) => (row.doing = event.kind === 'review' ? 'review done' : 'gates measure'));
        const did = event.kind === 'review' ? 'reviewed' : 'handed off';
        const summary = cutTo(oneLine(event.summary), SUMMARY_COLUMNS);
        return [{ phase: event.phase, text: `${event.persona} ${did}: ${summary}` }];
      }
      case 'persona.fault': {
        const again = event.final ? '' : ' (will be tried again)';
        const text = `${event.persona}, attempt ${event.attempt}: ${oneLine(event.message)}${again}`;
        return [{ phase: event.phase, text, paint: colors.yellow }];
      }
      case 'persona.refused':
      case 'files.shared':
        return [{ phase: event.phase, text: watchedText(event), paint: colors.yellow }];
      case 'model.waiting': {
        this.#change(event.phase, (row) => (row.doing = `waits for ${event.model}`));
        return [{ phase: event.phase, text: waitingText(event), paint: colors.yellow }];
      }
      case 'model.fallback':
      case 'conversation.compacted':
      case 'conversation.restarted':
      case 'conversation.circling':
        return [{ phase: event.phase, text: conversationText(event), paint: colors.yellow }];
      case 'gates.started':
        this.#change(event.phase, (row) => (row.doing = 'gates measure'));
        return [];
      case 'gate.verdict':
        return this.#onVerdict(event);
      case 'rework.requested': {
        const text = `↻ rework round ${event.round} with ${count(event.findings, 'finding')}: ${oneLine(event.headline)}`;
        return [{ phase: event.phase, text, paint: colors.yellow }];
      }
      case 'question.asked':
        return [{ phase: event.phase, text: this.#questionText(event), paint: colors.yellow }];
      case 'question.answered': {
        const { by, text, simulated } = event.answer;
        const said = cutTo(oneLine(text), SUMMARY_COLUMNS);
        return [{ phase: event.phase, text: `${oneLine(by)} answered: ${said}${simulated ? ' [simulated]' : ''}` }];
      }
      case 'question.withdrawn':
        return [{ phase: event.phase, text: `question of ${event.persona} withdrawn: ${oneLine(event.reason)}` }];
      case 'approval.requested':
        return [{ phase: event.phase, text: this.#approvalText(event), paint: colors.yellow }];
      case 'approval.recorded': {
        const { phase, decision, by, role, simulated } = event.approval;
        return [{ phase, text: `${decision} by ${oneLine(by)} (${role})${simulated ? ' [simulated]' : ''}` }];
      }
    }
  }

  #questionText({ runId, phase, persona, id, question }: Extract<RunEvent, { type: 'question.asked' }>): string {
    const asked = `? ${persona} asks: ${oneLine(question)}`;
    if (this.#plan.scripted?.approvals === true) return `${asked} (a script answers)`;
    return `${asked}: ${this.#command} answer ${runId} ${phase} --id ${id} --by NAME --text TEXT`;
  }

  #approvalText({ runId, phase, role }: Extract<RunEvent, { type: 'approval.requested' }>): string {
    if (this.#plan.scripted?.approvals === true) return `? waits for approval by ${role}, which a script gives`;
    return `? waits for approval by ${role}: ${this.#command} approve ${runId} ${phase} --role ${role} --by NAME`;
  }

  #onPhase(event: Extract<RunEvent, { type: 'phase.status' }>): Kept[] {
    const before = this.#rows.get(event.phase)?.status;
    const { status } = event;
    const reason = oneLine(event.reason);
    this.#change(event.phase, (row) => {
      row.status = status;
      row.doing = reason;
      const at = Date.parse(event.at);
      if (status === 'running') row.startedAt ??= at;
      if (TERMINAL_PHASE.includes(status)) row.endedAt = at;
    });
    // The request for the approval and the decision have lines of their own.
    const isTold = status === 'awaiting_approval' || (before === 'awaiting_approval' && status === 'running');
    if (before === status || isTold) return [];
    const text = `${statusText(status)}${reason === '' ? '' : `: ${reason}`}`;
    return [{ phase: event.phase, text, paint: (line) => paintStatus(this.#terminal.colors, status, line) }];
  }

  #onVerdict({ phase, round, verdict }: Extract<RunEvent, { type: 'gate.verdict' }>): Kept[] {
    const { colors } = this.#terminal;
    const passed = verdict.gates.filter((gate) => gate.outcome === 'passed').length;
    const after = round > 0 ? ` after rework ${round}` : '';
    const words = `${passed} of ${count(verdict.gates.length, 'gate')} passed, ${verdict.verdict.replaceAll('_', ' ')}`;
    const head: Kept = {
      phase,
      text: `${words}${after}${verdict.simulated ? ' [simulated]' : ''}`,
      paint: (line) => paintStatus(colors, verdict.verdict, line),
    };
    const gates = verdict.gates.map((gate): Kept => ({
      phase: '',
      text: `  ${gateText(gate)}`,
      paint: gateColor(colors, gate),
    }));
    const named = new Set(verdict.gates.filter((gate) => gate.outcome !== 'passed').map((gate) => gate.gate));
    const others = verdictProblems(verdict)
      .filter((problem) => ![...named].some((gate) => problem.startsWith(`gate ${gate} `)))
      .map((problem): Kept => ({ phase: '', text: `  ~ ${problem}`, paint: colors.yellow }));
    return [head, ...gates, ...others];
  }

  #change(phase: string, change: (row: Row) => void): void {
    // An instance of a repeated phase is first heard of when it begins.
    const row = this.#rows.get(phase) ?? newRow(phase, '');
    this.#rows.set(phase, row);
    change(row);
  }

  #draw(): void {
    if (this.#redraw === undefined) return;
    const { colors } = this.#terminal;
    // A line that fills the last column makes some terminals wrap.
    const columns = this.#terminal.columns() - 1;
    const rows = [...this.#rows.values()];
    const nameWidth = Math.max(...rows.map((row) => row.phase.length));
    const statusWidth = Math.max(...rows.map((row) => statusText(row.status).length));
    const lines = rows.map((row) => {
      const name = `${row.phase.padEnd(nameWidth)}  `;
      const status = statusText(row.status).padEnd(statusWidth);
      const time = row.startedAt === undefined ? '' : elapsed((row.endedAt ?? Date.now()) - row.startedAt);
      const spent = row.usage.calls === 0 ? '' : this.#spent(row.usage);
      const tail = `  ${time.padStart(7)}  ${spent.padEnd(10)}  ${doingOf(row)}`;
      const rest = cutTo(tail, columns - name.length - status.length).trimEnd();
      return `${cutTo(name, columns)}${paintStatus(colors, row.status, cutTo(status, columns - name.length))}${rest}`;
    });
    const all = rows.reduce((sum, row) => addUsage(sum, row.usage), NO_USAGE);
    const words = originMark({ simulated: isSimulatedRun(this.#plan), replayed: isReplayedRun(this.#plan) });
    const mark = words === '' ? '' : ` · ${words.slice(2, -1)}`;
    const foot = `${this.#plan.workflow} ${this.#plan.runId} · ${elapsed(Date.now() - this.#began)} · ${this.#spent(all)}${mark}`;
    this.#redraw(['', ...lines, colors.dim(cutTo(foot, columns))].join('\n'));
  }

  #spent(usage: Usage): string {
    return spendKindOf(this.#plan) === 'free' ? tokens(usage) : `${tokens(usage)} ${cost(usage, false)}`;
  }
}

const newRow = (phase: string, who: string): Row => ({
  phase,
  status: 'waiting',
  who,
  doing: '',
  startedAt: undefined,
  endedAt: undefined,
  usage: NO_USAGE,
});

function doingOf(row: Row): string {
  if (row.doing === '') return row.who;
  return TERMINAL_PHASE.includes(row.status) ? row.doing : `${row.who}: ${row.doing}`;
}
