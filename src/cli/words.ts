import { type PhaseStatus, type RunEvent, type RunStatus, type Usage, originWords } from '../shared/run-record.ts';
import type { GateOutcome, GateResult, PhaseVerdict } from '../shared/verdict.ts';
import type { Terminal } from './terminal.ts';
import { count, oneLine } from './text.ts';

type Colors = Terminal['colors'];

const MARKS: Record<PhaseStatus | 'queued' | 'paused', string> = {
  waiting: '·',
  queued: '·',
  running: '▸',
  awaiting_approval: '?',
  paused: '‖',
  passed: '✔',
  passed_with_warnings: '✔',
  not_gated: '○',
  blocked: '✘',
  failed: '✘',
  cancelled: '✘',
  skipped: '○',
  not_started: '–',
};

/** A status with its mark. */
export const statusText = (status: PhaseStatus | RunStatus): string =>
  `${MARKS[status]} ${status.replaceAll('_', ' ')}`;

/** A status with its mark, or another text, in the colour of the status. */
export function paintStatus(
  colors: Colors,
  status: PhaseStatus | RunStatus,
  text: string = statusText(status),
): string {
  switch (status) {
    case 'passed':
      return colors.green(text);
    case 'passed_with_warnings':
    case 'not_gated':
    case 'awaiting_approval':
    case 'paused':
      return colors.yellow(text);
    case 'blocked':
    case 'failed':
    case 'cancelled':
      return colors.red(text);
    case 'running':
      return colors.cyan(text);
    case 'waiting':
    case 'queued':
    case 'skipped':
    case 'not_started':
      return colors.dim(text);
  }
}

/** `1m 05s`, `12s`. */
export function elapsed(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m ${String(seconds % 60).padStart(2, '0')}s`;
}

export const tokens = (usage: Usage): string => {
  const total = usage.inputTokens + usage.outputTokens + usage.cacheReadTokens + usage.cacheWriteTokens;
  return total < 1000 ? `${total} tok` : `${(total / 1000).toFixed(1)}k tok`;
};

/** Dollars, or what is known instead of them. */
export function cost(usage: Usage, simulated: boolean, replayed = false): string {
  if (replayed || simulated) return `$0 ${originWords({ simulated, replayed }).join(', ')}`;
  return usage.costUsd === null ? 'cost unknown' : `$${usage.costUsd.toFixed(4)}`;
}

const OUTCOME_MARKS: Record<GateOutcome, string> = { passed: '✔', failed: '✘', error: '!', bypassed: '↷' };

export const gateText = (gate: GateResult): string =>
  `${OUTCOME_MARKS[gate.outcome]} ${gate.gate}: ${oneLine(gate.message)}`;

export const gateColor = (colors: Colors, { outcome, severity }: GateResult): ((text: string) => string) => {
  if (outcome === 'passed') return colors.green;
  return outcome === 'bypassed' || (outcome === 'failed' && severity === 'WARNING') ? colors.yellow : colors.red;
};

/** Every line of a verdict that did not pass, for the terminal. */
export function verdictProblems(verdict: PhaseVerdict): string[] {
  return [
    ...verdict.gates
      .filter((gate) => gate.outcome !== 'passed')
      .map((gate) => `gate ${gate.gate} ${gate.outcome}: ${gate.message}`),
    ...verdict.criteria
      .filter(
        (criterion) =>
          criterion.outcome !== 'passed' &&
          !verdict.gates.some((gate) => gate.outcome !== 'passed' && criterion.criterion in gate.values),
      )
      .map(
        (criterion) =>
          `criterion ${criterion.criterion} ${criterion.outcome} (${criterion.severity}): ${criterion.message}`,
      ),
    ...(verdict.contracts ?? [])
      .filter(({ outcome }) => outcome !== 'passed')
      .map(
        ({ persona, kind, name, outcome, severity, message }) =>
          `contract of ${persona}, ${kind} ${name} ${outcome} (${severity}): ${message}`,
      ),
    ...verdict.artifacts
      .filter((artifact) => artifact.required && artifact.outcome === 'missing')
      .map((artifact) => `artifact ${artifact.artifact} missing: ${artifact.message}`),
    ...verdict.targets
      .filter((target) => target.outcome === 'missed' || target.outcome === 'not_measured')
      .map((target) => `target ${target.metric} ${target.outcome}: ${target.message}`),
    ...(verdict.bypasses ?? [])
      .filter((bypass) => bypass.outcome === 'refused')
      .map((bypass) => `bypass of ${bypass.gate} ${bypass.message} [${bypass.id}]`),
    ...(verdict.brokenBypassLog === undefined
      ? []
      : [`no bypass counts: the log of bypasses is broken: ${verdict.brokenBypassLog}`]),
    ...verdict.errors
      .filter((error) => error.gate === undefined && error.criterion === undefined && error.persona === undefined)
      .map((error) => `${error.metric}: ${error.reason}`),
  ].map(oneLine);
}

/** Why a conversation does not go on, and when it will. */
export function waitingText(event: Extract<RunEvent, { type: 'model.waiting' }>): string {
  const until = event.until.slice(11, 19);
  const place = event.parked ? '; its worker does other work meanwhile' : '';
  return oneLine(
    `${event.persona} waits for ${event.model} at ${event.host} until ${until} UTC: ${event.reason}${place}`,
  );
}

/** What became of a conversation, beside its turns. */
export function conversationText(
  event: Extract<
    RunEvent,
    { type: 'conversation.compacted' | 'conversation.restarted' | 'conversation.circling' | 'model.fallback' }
  >,
): string {
  const { persona } = event;
  switch (event.type) {
    case 'conversation.compacted':
      return `${persona}'s conversation was summed up by the model, from ${event.fromTokens} to ${event.toTokens} tokens`;
    case 'conversation.restarted':
      return oneLine(`${persona} begins anew: ${event.reason}`);
    case 'model.fallback':
      return oneLine(`${persona} goes on with ${event.to}, because ${event.from} is overloaded: ${event.reason}`);
    case 'conversation.circling':
      return oneLine(`${persona} goes round in circles and was told so: ${event.warning}`);
  }
}

/** What a persona was refused, or which files more than one of them changed. */
export function watchedText(event: Extract<RunEvent, { type: 'persona.refused' | 'files.shared' }>): string {
  if (event.type === 'files.shared') return event.files.map(({ message }) => oneLine(message)).join('; ');
  const tools = [...new Set(event.tools)].map(oneLine).join(', ');
  return `${event.persona} was refused ${count(event.tools.length, 'call')} of what is not for it: ${tools}`;
}
