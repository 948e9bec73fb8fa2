import { createLogUpdate } from 'log-update';
import { NO_USAGE, type PhaseStatus, type RunEvent, type RunPlan, type Usage, addUsage } from '../shared/run-record.ts';
import type { Terminal } from './terminal.ts';
import { cost, elapsed, paintGate, paintStatus, tokens, verdictProblems } from './words.ts';

interface Row {
  phase: string;
  status: PhaseStatus;
  who: string;
  doing: string;
  round: number;
  startedAt: number | undefined;
  endedAt: number | undefined;
  usage: Usage;
}

const ENDED: readonly PhaseStatus[] = [
  'passed',
  'passed_with_warnings',
  'not_gated',
  'blocked',
  'failed',
  'cancelled',
  'skipped',
  'not_started',
];

/**
 * Shows a run as it goes. On a terminal: a table that is redrawn, with a line above it for everything worth keeping.
 * Elsewhere: only those lines, in plain text.
 */
export class ProgressView {
  readonly #terminal: Terminal;
  readonly #rows: Map<string, Row>;
  readonly #redraw: ReturnType<typeof createLogUpdate> | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #simulated: boolean;

  constructor(terminal: Terminal, plan: RunPlan) {
    this.#terminal = terminal;
    this.#simulated = plan.provider === 'scripted';
    this.#rows = new Map(
      plan.phases.map((phase) => [
        phase.name,
        {
          phase: phase.name,
          status: 'waiting',
          who: phase.personas.join(', '),
          doing: '',
          round: 0,
          startedAt: undefined,
          endedAt: undefined,
          usage: NO_USAGE,
        },
      ]),
    );
    if (!terminal.isLive) return;
    this.#redraw = createLogUpdate(process.stderr, { showCursor: true });
    this.#timer = setInterval(() => this.#draw(), 250);
    this.#timer.unref();
  }

  /** Takes in one event of the run. */
  show(event: RunEvent): void {
    for (const line of this.#linesOf(event)) this.#keep(line);
    this.#draw();
  }

  /** Leaves the table as it stands and stops redrawing. */
  close(): void {
    clearInterval(this.#timer);
    this.#draw();
    this.#redraw?.done();
  }

  #keep(line: string): void {
    this.#redraw?.clear();
    this.#terminal.err(line);
  }

  #linesOf(event: RunEvent): string[] {
    const { colors } = this.#terminal;
    switch (event.type) {
      case 'run.queued':
      case 'run.status':
      case 'run.finished':
        return [];
      case 'phase.status':
        return this.#onPhase(event);
      case 'persona.turn': {
        this.#change(event.phase, (row) => {
          row.usage = addUsage(row.usage, event.usage);
          row.doing = `${event.kind === 'review' ? `review by ${event.persona}, ` : ''}turn ${event.turn}: ${event.tools.join(', ') || 'thinking'}`;
        });
        return [];
      }
      case 'persona.done':
        this.#change(event.phase, (row) => (row.doing = event.kind === 'review' ? 'review done' : 'gates measure'));
        return [
          `${pad(event.phase)} ${event.persona} ${event.kind === 'review' ? 'reviewed' : 'handed off'}: ${firstLine(event.summary)}`,
        ];
      case 'persona.fault':
        return [
          colors.yellow(
            `${pad(event.phase)} ${event.persona}, attempt ${event.attempt}: ${event.message}${event.final ? '' : ' (will be tried again)'}`,
          ),
        ];
      case 'gate.verdict':
        return this.#onVerdict(event);
      case 'rework.requested':
        return [
          colors.yellow(
            `${pad(event.phase)} ↻ rework round ${event.round} with ${event.findings} findings: ${event.headline}`,
          ),
        ];
      case 'approval.requested':
        return [
          colors.yellow(
            `${pad(event.phase)} ? waits for approval by ${event.role}: maestro approve ${event.runId} ${event.phase} --role ${event.role} --by NAME`,
          ),
        ];
      case 'approval.recorded': {
        const { approval } = event;
        return [
          `${pad(approval.phase)} ${approval.decision} by ${approval.by} (${approval.role})${approval.simulated ? ' [simulated]' : ''}`,
        ];
      }
    }
  }

  #onPhase(event: Extract<RunEvent, { type: 'phase.status' }>): string[] {
    const before = this.#rows.get(event.phase)?.status;
    this.#change(event.phase, (row) => {
      row.status = event.status;
      row.round = event.round;
      row.doing = event.reason;
      const at = Date.parse(event.at);
      if (event.status === 'running') row.startedAt ??= at;
      if (ENDED.includes(event.status)) row.endedAt = at;
    });
    if (before === event.status) return [];
    const reason = event.reason === '' ? '' : `: ${event.reason}`;
    return [`${pad(event.phase)} ${paintStatus(this.#terminal.colors, event.status)}${reason}`];
  }

  #onVerdict(event: Extract<RunEvent, { type: 'gate.verdict' }>): string[] {
    const { colors } = this.#terminal;
    const { verdict } = event;
    const passed = verdict.gates.filter((gate) => gate.outcome === 'passed').length;
    const word = verdict.verdict.replaceAll('_', ' ');
    const paint =
      verdict.verdict === 'blocked' ? colors.red : verdict.verdict === 'passed' ? colors.green : colors.yellow;
    const head = paint(`${passed} of ${verdict.gates.length} gates passed, ${word}`);
    const round = event.round > 0 ? ` after rework ${event.round}` : '';
    const gates = verdict.gates.map((gate) => `${pad('')}   ${paintGate(colors, gate)}`);
    const named = new Set(verdict.gates.filter((gate) => gate.outcome !== 'passed').map((gate) => gate.gate));
    const others = verdictProblems(verdict)
      .filter((problem) => ![...named].some((gate) => problem.startsWith(`gate ${gate} `)))
      .map((problem) => `${pad('')}   ${colors.yellow(`~ ${problem}`)}`);
    return [`${pad(event.phase)} ${head}${round}${verdict.simulated ? ' [simulated]' : ''}`, ...gates, ...others];
  }

  #change(phase: string, change: (row: Row) => void): void {
    const row = this.#rows.get(phase);
    if (row !== undefined) change(row);
  }

  #draw(): void {
    if (this.#redraw === undefined) return;
    const { colors, columns } = this.#terminal;
    const rows = [...this.#rows.values()];
    const width = Math.max(...rows.map((row) => row.phase.length));
    const lines = rows.map((row) => {
      const status = row.status.replaceAll('_', ' ').padEnd(20);
      const time = row.startedAt === undefined ? '' : elapsed((row.endedAt ?? Date.now()) - row.startedAt);
      const spent = row.usage.calls === 0 ? '' : `${tokens(row.usage)} ${cost(row.usage, this.#simulated)}`;
      const text = `${row.phase.padEnd(width)}  ${status} ${time.padStart(7)}  ${spent.padEnd(24)} ${row.who}  ${row.doing}`;
      const cut = text.length > columns - 1 ? `${text.slice(0, columns - 2)}…` : text;
      return cut.replace(status.trimEnd(), paintStatus(colors, row.status).slice(0));
    });
    this.#redraw(['', ...lines].join('\n'));
  }
}

const pad = (phase: string): string => phase.padEnd(14);
const firstLine = (text: string): string => {
  const line = text.split('\n')[0] ?? '';
  return line.length > 160 ? `${line.slice(0, 159)}…` : line;
};
