import { isDeepStrictEqual } from 'node:util';
import { judgeRound } from '../../gates/judge-round.ts';
import { type PolicySet, loadPolicySet } from '../../gates/load-policy.ts';
import { type BlobReader, getJson } from '../../shared/blob-store.ts';
import { Definitions } from '../../shared/definitions.ts';
import type { RunStatement } from '../../shared/evidence/statement.ts';
import { RoundEvidence } from '../../shared/round-evidence.ts';
import type { PhaseRecord, RunPlan } from '../../shared/run-record.ts';
import type { PhaseVerdict } from '../../shared/verdict.ts';
import { type EvidenceCheck, asWritten, checked } from './check.ts';

type Round = PhaseRecord['rounds'][number];

/** Judges every round again from the values that were recorded, by the policies that the run was started with. */
export async function checkVerdicts(blobs: BlobReader, { predicate }: RunStatement): Promise<EvidenceCheck> {
  const { plan, phases } = predicate;
  const policySet = loadPolicySet((await getJson(blobs, plan.definitions, Definitions)).policies);
  const problems: string[] = [];
  let examined = 0;
  for (const record of phases)
    for (const round of record.rounds) {
      examined += 1;
      const at = `${record.phase}, round ${round.round + 1}`;
      const evidence = await getJson(blobs, round.evidence, RoundEvidence);
      problems.push(
        ...roundProblems({ plan, record, round, evidence, policySet }).map((problem) => `${at}: ${problem}`),
      );
    }
  return checked('verdicts', 'verdicts judged again', { examined, problems });
}

function roundProblems(of: {
  plan: RunPlan;
  record: PhaseRecord;
  round: Round;
  evidence: RoundEvidence;
  policySet: PolicySet;
}): string[] {
  const { plan, record, round, evidence, policySet } = of;
  const phase = plan.phases.find(({ name }) => name === record.phase);
  if (phase === undefined) return ['the plan has no such phase'];
  const strays = [
    ...(evidence.phase === record.phase && evidence.round === round.round && evidence.runId === plan.runId
      ? []
      : [`its evidence is of ${evidence.phase}, round ${evidence.round + 1}, of run ${evidence.runId}`]),
    ...(round.candidate !== undefined && evidence.commit !== round.candidate.commit
      ? [`commit ${evidence.commit} was measured, and ${round.candidate.commit} was judged`]
      : []),
  ];
  const { judgedWith } = evidence;
  if (judgedWith?.conflicts === undefined)
    return [...strays, 'what it was judged with beside its measurements was not recorded: it cannot be judged again'];
  const again = judgeRound({ policySet, plan, phase, evidence, judgedWith });
  return [
    ...strays,
    ...(isDeepStrictEqual(asWritten(again), asWritten(round.verdict))
      ? []
      : [
          `the record says ${round.verdict.verdict}, judged again it is ${again.verdict}${difference(again, round.verdict)}`,
        ]),
    ...letThrough(round.verdict),
  ];
}

/** The gates and criteria that came out differently. */
function difference(again: PhaseVerdict, said: PhaseVerdict): string {
  const before = new Map([
    ...said.gates.map((gate) => [gate.gate, gate.message] as const),
    ...said.criteria.map((criterion) => [criterion.criterion, criterion.message] as const),
  ]);
  const now = [
    ...again.gates.map((gate) => [gate.gate, gate.message] as const),
    ...again.criteria.map((criterion) => [criterion.criterion, criterion.message] as const),
  ];
  const differing = now.filter(([name, message]) => before.get(name) !== message);
  return differing.length === 0 ? '' : ` (${differing.map(([name, message]) => `${name}: ${message}`).join('; ')})`;
}

/** What could not be evaluated blocks: told from the record alone, whatever the code that judges says today. */
function letThrough({ verdict, gates, criteria, contracts = [], errors }: PhaseVerdict): string[] {
  if (verdict === 'blocked') return [];
  const undecided = [...gates, ...criteria, ...contracts].filter(({ outcome }) => outcome === 'error');
  return [
    ...undecided.map(({ message }) => `an error let through: ${message}`),
    ...errors.map(({ metric, reason }) => `an error let through: ${metric}: ${reason}`),
  ];
}
