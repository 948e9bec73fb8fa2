import { count, h, pill, row, table, when, words } from '/dom.js';

export const EVENT_TYPES = ['run.queued', 'run.status', 'run.resumed', 'phase.status', 'persona.turn', 'persona.done', 'persona.fault', 'model.waiting', 'conversation.compacted', 'conversation.restarted', 'conversation.circling', 'gates.started', 'gate.verdict', 'rework.requested', 'approval.requested', 'approval.recorded', 'question.asked', 'question.answered', 'run.finished'];
const MOST_SHOWN = 300;
const MOST_NAMED = 12;

/** Keeps of the log what is shown: its end, and what tells how the run was taken up, ended and asked for approval. */
export class Log {
  events = [];
  takings = [];
  ends = [];
  asked = new Map();

  add(event) {
    if (event.type === 'run.resumed') this.takings.push(event);
    else if (event.type === 'run.finished') this.ends.push(event);
    else if (event.type === 'approval.requested') this.asked.set(event.phase, event.role);
    this.events.push(event);
    if (this.events.length > 2 * MOST_SHOWN) this.events = this.events.slice(-MOST_SHOWN);
  }
}

/** How often the run was taken up, what was run then, and how that ended. */
export function takingsTable({ takings, ends }, run) {
  if (takings.length === 0) return false;
  const endOf = (from, until) => ends.find(({ seq }) => seq > from && (until === undefined || seq < until));
  const ended = (end) => (end === undefined ? pill(run.status) : h('span', {}, pill(end.status), ' ', h('span', { class: 'text' }, end.reason)));
  const named = (phases) => (phases.length > MOST_NAMED ? `${phases.slice(0, MOST_NAMED).join(', ')} and ${phases.length - MOST_NAMED} more` : phases.join(', '));
  const rows = takings.map((taking, index) => row(String(index + 2), when(taking.at), named(taking.phases), h('span', { class: 'text' }, taking.reason), ended(endOf(taking.seq, takings[index + 1]?.seq))));
  return table('Taken up', ['Taking-up', 'When', 'Run again', 'Why', 'Ended'], [row('1', when(run.createdAt), 'all phases', 'the run was started', ended(endOf(0, takings[0].seq))), ...rows]);
}

const TELL = {
  'run.queued': () => 'run queued',
  'run.status': ({ status, reason }) => `run ${words(status)} ${reason}`,
  'run.resumed': ({ generation, phases, reason }) => `run taken up again (${generation + 1}): ${count(phases.length, 'phase')}: ${phases.slice(0, MOST_NAMED).join(', ')}${phases.length > MOST_NAMED ? '…' : ''} ${reason}`,
  'phase.status': ({ phase, status, reason }) => `${phase}: ${words(status)} ${reason}`,
  'persona.turn': ({ phase, persona, turn, tools }) => `${phase}: ${persona}, turn ${turn}${tools.length > 0 ? `: ${tools.join(', ')}` : ''}`,
  'persona.done': ({ phase, persona, kind, summary }) => `${phase}: ${persona} finished ${kind}${summary === '' ? '' : ': '}${summary.slice(0, 300)}${summary.length > 300 ? '…' : ''}`,
  'persona.fault': ({ phase, persona, attempt, message, final }) => `${phase}: ${persona}, attempt ${attempt} failed${final ? ' for good' : ''}: ${message}`,
  'model.waiting': ({ phase, persona, model, host, reason, until }) => `${phase}: ${persona} waits for ${model} at ${host} until ${new Date(until).toLocaleTimeString()}: ${reason}`,
  'conversation.compacted': ({ phase, persona, fromTokens, toTokens }) => `${phase}: the conversation of ${persona} was summed up by the model, from ${fromTokens} to ${toTokens} tokens`,
  'conversation.restarted': ({ phase, persona, reason }) => `${phase}: ${persona} begins anew: ${reason}`,
  'conversation.circling': ({ phase, persona, warning }) => `${phase}: ${persona} goes round in circles and was told so: ${warning}`,
  'gates.started': ({ phase, round }) => `${phase}: gates of round ${round + 1} begin to measure`,
  'gate.verdict': ({ phase, round, verdict }) => `${phase}: round ${round + 1} ${words(verdict.verdict)}`,
  'rework.requested': ({ phase, findings, headline }) => `${phase}: back for rework with ${count(findings, 'finding')}: ${headline}`,
  'approval.requested': ({ phase, role }) => `${phase}: waits for a decision of ${role}`,
  'approval.recorded': ({ approval }) => `${approval.phase}: ${approval.decision} by ${approval.by} (${approval.role})`,
  'question.asked': ({ phase, persona, question }) => `${phase}: ${persona} asks: ${question}`,
  'question.answered': ({ phase, answer }) => `${phase}: ${answer.by} answered${answer.simulated ? ' (simulated)' : ''}: ${answer.text}`,
  'run.finished': ({ status, reason }) => `run finished: ${words(status)} ${reason}`,
};

export function activity({ events }) {
  const shown = events.slice(-MOST_SHOWN).toReversed();
  return h('ol', { 'class': 'activity', 'data-scroll': 'activity', 'tabindex': '0', 'aria-label': 'Activity, newest first' }, shown.map((event) => h('li', {}, h('time', { datetime: event.at, title: event.at }, new Date(event.at).toLocaleTimeString()), ' ', h('span', { class: 'text' }, TELL[event.type]?.(event) ?? event.type))));
}
