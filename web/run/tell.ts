import type { RunEvent } from '../../src/shared/run-record.ts';
import { clock, count, words } from '../lib/format.ts';

const MOST_NAMED = 12;
const MOST_SUMMARY = 300;

export const named = (phases: readonly string[]): string =>
  phases.length > MOST_NAMED
    ? `${phases.slice(0, MOST_NAMED).join(', ')} and ${phases.length - MOST_NAMED} more`
    : phases.join(', ');

const shortened = (text: string): string => (text.length > MOST_SUMMARY ? `${text.slice(0, MOST_SUMMARY)}…` : text);

type Tell = { [T in RunEvent['type']]: (event: Extract<RunEvent, { type: T }>) => string };

/** Every event of a run in one line. */
const TELL: Tell = {
  'run.queued': () => 'run queued',
  'run.status': ({ status, reason }) => `run ${words(status)} ${reason}`,
  'run.resumed': ({ generation, phases, reason }) =>
    `run taken up again (${generation + 1}): ${count(phases.length, 'phase')}: ${named(phases)} ${reason}`,
  'phase.status': ({ phase, status, reason }) => `${phase}: ${words(status)} ${reason}`,
  'persona.turn': ({ phase, persona, turn, tools }) =>
    `${phase}: ${persona}, turn ${turn}${tools.length > 0 ? `: ${tools.join(', ')}` : ''}`,
  'persona.done': ({ phase, persona, kind, summary }) =>
    `${phase}: ${persona} finished ${kind}${summary === '' ? '' : `: ${shortened(summary)}`}`,
  'persona.fault': ({ phase, persona, attempt, message, final }) =>
    `${phase}: ${persona}, attempt ${attempt} failed${final ? ' for good' : ''}: ${message}`,
  'model.waiting': ({ phase, persona, model, host, reason, until }) =>
    `${phase}: ${persona} waits for ${model} at ${host} until ${clock(until)}: ${reason}`,
  'persona.refused': ({ phase, persona, tools }) =>
    `${phase}: ${persona} was refused ${count(tools.length, 'call')} of what is not for it: ${named([...new Set(tools)])}`,
  'files.shared': ({ phase, files }) => `${phase}: ${files.map(({ message }) => message).join('; ')}`,
  'conversation.compacted': ({ phase, persona, fromTokens, toTokens }) =>
    `${phase}: the conversation of ${persona} was summed up by the model, from ${fromTokens} to ${toTokens} tokens`,
  'conversation.restarted': ({ phase, persona, reason }) => `${phase}: ${persona} begins anew: ${reason}`,
  'model.fallback': ({ phase, persona, from, to, reason }) =>
    `${phase}: ${persona} goes on with ${to}, because ${from} is overloaded: ${reason}`,
  'conversation.circling': ({ phase, persona, warning }) =>
    `${phase}: ${persona} goes round in circles and was told so: ${warning}`,
  'gates.started': ({ phase, round }) => `${phase}: gates of round ${round + 1} begin to measure`,
  'gate.verdict': ({ phase, round, verdict }) => `${phase}: round ${round + 1} ${words(verdict.verdict)}`,
  'rework.requested': ({ phase, findings, headline }) =>
    `${phase}: back for rework with ${count(findings, 'finding')}: ${headline}`,
  'approval.requested': ({ phase, role }) => `${phase}: waits for a decision of ${role}`,
  'approval.recorded': ({ approval }) => `${approval.phase}: ${approval.decision} by ${approval.by} (${approval.role})`,
  'question.asked': ({ phase, persona, question }) => `${phase}: ${persona} asks: ${question}`,
  'question.answered': ({ phase, answer }) =>
    `${phase}: ${answer.by} answered${answer.simulated ? ' (simulated)' : ''}: ${answer.text}`,
  'question.withdrawn': ({ phase, persona, reason }) => `${phase}: the question of ${persona} was withdrawn: ${reason}`,
  'run.finished': ({ status, reason }) => `run finished: ${words(status)} ${reason}`,
};

export const EVENT_TYPES: readonly string[] = Object.keys(TELL);

/** Each type has its teller in the table; that the two belong together is not to be said in types. */
export function tell(event: RunEvent): string {
  const line: unknown = TELL[event.type];
  return typeof line === 'function' ? String(Reflect.apply(line, undefined, [event])) : event.type;
}
