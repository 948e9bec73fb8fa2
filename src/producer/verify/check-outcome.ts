import type { RunStatement } from '../../shared/evidence/statement.ts';
import { OPEN_PHASE, type PhaseRecord } from '../../shared/run-record.ts';
import { runOutcome } from '../../shared/run-outcome.ts';
import { leftOut } from '../../shared/start-from.ts';
import { type EvidenceCheck, checked } from './check.ts';
import type { Talk } from './transcripts.ts';

/** The run ended as its phases did, and each phase as it was judged. */
export function checkOutcome({ predicate }: RunStatement): EvidenceCheck {
  const { run, plan, phases } = predicate;
  const { status } = runOutcome(phases, leftOut(plan));
  const known = new Set(phases.map(({ phase }) => phase));
  const problems = [
    ...plan.phases.filter(({ name }) => !known.has(name)).map(({ name }) => `${name}: it has no record`),
    // Whoever cancels a run ends it before its phases.
    ...(run.status === status || run.status === 'cancelled'
      ? []
      : [`the run is ${run.status}, its phases make it ${status}`]),
    ...phases.flatMap((record) => phaseProblems(record, predicate)),
  ];
  return checked('outcome', 'phases', { examined: phases.length, problems });
}

function phaseProblems(record: PhaseRecord, { plan, phases }: RunStatement['predicate']): string[] {
  if (!OPEN_PHASE.includes(record.status) || record.status === 'skipped') return [];
  const instances = plan.phases.filter(({ instance }) => instance?.of === record.phase).map(({ name }) => name);
  if (instances.length > 0) {
    const closed = phases.filter(({ phase, status }) => instances.includes(phase) && !OPEN_PHASE.includes(status));
    return closed.map(({ phase, status }) => `${record.phase} is ${record.status}, its instance ${phase} is ${status}`);
  }
  const last = record.rounds.at(-1);
  if (last === undefined) return [`${record.phase} is ${record.status}, and nobody judged it`];
  return [
    ...(last.verdict.verdict === record.status
      ? []
      : [`${record.phase} is ${record.status}, its last verdict is ${last.verdict.verdict}`]),
    ...(record.commit === last.candidate?.commit
      ? []
      : [`${record.phase} hands on ${record.commit}, judged was ${last.candidate?.commit ?? 'no commit'}`]),
  ];
}

/** Whatever no real model made now says so, on the run, on its phases and on their verdicts. */
export function checkOrigin({ predicate }: RunStatement, talks: readonly Talk[]): EvidenceCheck {
  const { run, plan, phases } = predicate;
  const problems: string[] = [];
  let examined = 1;
  const stands = { simulated: plan.provider === 'scripted', replayed: plan.provider === 'replay' };
  for (const record of phases) {
    const calls = talks.filter(({ phase }) => phase === record.phase).flatMap((talk) => talk.calls);
    examined += calls.length;
    const has = {
      simulated: stands.simulated || calls.some(({ simulated }) => simulated),
      replayed: stands.replayed || calls.some(({ replayed }) => replayed === true),
    };
    for (const { round, verdict } of record.rounds) {
      if (has.simulated && !verdict.simulated)
        problems.push(`${record.phase}, round ${round + 1}: a stand-in had a part in it, and its verdict says real`);
      if (has.replayed && verdict.replayed !== true)
        problems.push(`${record.phase}, round ${round + 1}: it was replayed, and its verdict does not say so`);
    }
    if (has.simulated && record.rounds.length > 0 && !record.simulated)
      problems.push(`${record.phase}: a stand-in had a part in it, and its record says real`);
    if (has.simulated && !run.simulated)
      problems.push(`a stand-in had a part in ${record.phase}, and the run says real`);
    if (has.replayed && run.replayed !== true)
      problems.push(`${record.phase} was replayed, and the run does not say so`);
  }
  return checked('origin', 'calls and marks', { examined, problems });
}
