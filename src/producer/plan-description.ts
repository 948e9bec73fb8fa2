import Table from 'cli-table3';
import { loadPolicySet, policyOf } from '../gates/load-policy.ts';
import type { Definitions } from '../shared/definitions.ts';
import { personaQueue } from '../shared/names.ts';
import { type PlannedPhase, type RunPlan, isSimulatedRun } from '../shared/run-record.ts';
import type { Concurrency } from '../shared/workflow-schema.ts';
import type { ModelConfig } from '../shared/model-config.ts';
import { type CostBound, costBound } from './cost-bound.ts';
import { costBoundAsText } from './cost-bound-text.ts';
import { dagLevels } from './dag.ts';
import { buildFlow, firstTake, countJobs } from './flow.ts';

interface DescribedPhase {
  name: string;
  /** How many phases come before it on its longest way; phases of one level may run side by side. */
  level: number;
  needs: string[];
  queues: string[];
  policy: string | null;
  policyFallback: boolean;
  gates: number;
  criteria: number;
  approvalRole: string | null;
  model: string;
  attempts: number;
  rework: number;
  timeoutMs: number;
  /** Expressions that must all hold for it to run; otherwise it is skipped. */
  conditions: string[];
  /** For a phase with instances: what they are made for, and how many run at once. */
  repeat: { for: string; parallel: number | null } | null;
  concurrency: Concurrency | null;
}

export interface PlanDescription {
  workflow: string;
  /** From 0, the most urgent, to 100. */
  priority: number;
  /** The group that the whole run takes a place in. */
  concurrency: Concurrency | null;
  provider: string;
  simulated: boolean;
  phases: DescribedPhase[];
  levels: number;
  queues: string[];
  /** Jobs the run adds when it starts; reviews, approvals and rework add more as it goes on. */
  jobs: number;
  /** The most it can cost. */
  cost: CostBound;
}

/** What a plan will do, for `maestro plan --json` and the two forms below. */
export function describePlan(plan: RunPlan, definitions: Definitions, models: ModelConfig): PlanDescription {
  const policySet = loadPolicySet(definitions.policies);
  const levels = dagLevels(new Map(plan.phases.map(({ name, needs }) => [name, needs])));
  const phases = plan.phases.map((phase): DescribedPhase => {
    const policy = phase.policy === null ? undefined : policyOf(policySet, phase.policy);
    return {
      name: phase.name,
      level: levels.get(phase.name) ?? 0,
      needs: phase.needs,
      queues: phase.personas.map(personaQueue),
      policy: phase.policy,
      policyFallback: phase.policyFallback,
      gates: policy?.gates.length ?? 0,
      criteria: Object.keys(policy?.policy.success_criteria ?? {}).length,
      approvalRole: phase.approvalRole,
      model: phase.model,
      attempts: phase.attempts,
      rework: phase.rework,
      timeoutMs: phase.timeoutMs,
      conditions: (phase.conditions ?? []).map(({ text }) => text),
      repeat: phase.repeat === undefined ? null : { for: repeatText(phase.repeat), parallel: phase.repeat.parallel },
      concurrency: phase.concurrency ?? null,
    };
  });
  return {
    workflow: plan.workflow,
    priority: plan.priority ?? 0,
    concurrency: plan.concurrency ?? null,
    provider: plan.provider,
    simulated: isSimulatedRun(plan),
    phases,
    levels: Math.max(...phases.map(({ level }) => level)) + 1,
    queues: [...new Set(phases.flatMap(({ queues }) => queues))],
    jobs: countJobs(buildFlow(plan, firstTake(plan))),
    cost: costBound({ plan, definitions, policySet, models }),
  };
}

const policyLabel = ({ policy, policyFallback }: DescribedPhase): string =>
  policy === null ? 'not gated' : `${policy}${policyFallback ? ' (fallback)' : ''}`;

function repeatText({ lists, isMatrix }: NonNullable<PlannedPhase['repeat']>): string {
  const texts = Object.entries(lists).map(([name, list]) => {
    const source = typeof list === 'string' ? list : JSON.stringify(list);
    return isMatrix ? `${name} in ${source}` : source;
  });
  return texts.join(' x ');
}

const groupText = ({ group, limit }: Concurrency): string => `group ${group}, ${limit} at a time`;

/** What decides whether, how often and when a phase runs, one text each. */
const controls = ({ conditions, repeat, concurrency }: DescribedPhase): string[] => [
  ...conditions.map((condition) => `if ${condition}`),
  ...(repeat === null
    ? []
    : [`for each of ${repeat.for}${repeat.parallel === null ? '' : `, ${repeat.parallel} at a time`}`]),
  ...(concurrency === null ? [] : [groupText(concurrency)]),
];

export function planAsText(description: PlanDescription): string {
  const table = new Table({
    head: ['level', 'phase', 'needs', 'queue', 'policy', 'gates', 'criteria', 'approval', 'model'],
    style: { head: [], border: [], compact: true },
  });
  for (const phase of description.phases)
    table.push([
      phase.level + 1,
      phase.name,
      phase.needs.join(', ') || '-',
      phase.queues.join(', '),
      policyLabel(phase),
      phase.gates,
      phase.criteria,
      phase.approvalRole ?? '-',
      phase.model,
    ]);
  const { workflow, phases, levels, queues, jobs } = description;
  const summary = `${workflow}: ${phases.length} phases on ${levels} levels, ${queues.length} persona queues, ${jobs} jobs at the start`;
  const more = [
    ...(description.priority === 0 ? [] : [`priority ${description.priority}`]),
    ...(description.concurrency === null ? [] : [`whole runs: ${groupText(description.concurrency)}`]),
    ...phases.flatMap((phase) => controls(phase).map((text) => `${phase.name}: ${text}`)),
  ];
  return `${[summary, table.toString(), ...more, '', ...costBoundAsText(description.cost)].join('\n')}\n`;
}

/** Text that a Mermaid label can hold. */
const escaped = (text: string): string =>
  text.replaceAll('#', '#35;').replaceAll('"', '#quot;').replaceAll('<', '#lt;').replaceAll('>', '#gt;');

/** A Mermaid flowchart. Names are lower-case letters, digits, `_` and `-`, which need no escaping. */
export function planAsMermaid({ phases }: PlanDescription): string {
  const ids = new Map(phases.map(({ name }, index) => [name, `p${index}`]));
  const nodes = phases.map(
    (phase) =>
      `  ${ids.get(phase.name)}["${phase.name}<br/>${phase.queues.join(', ')}<br/>${policyLabel(phase)}, ${phase.gates} gates${controls(
        phase,
      )
        .map((text) => `<br/>${escaped(text)}`)
        .join('')}"]`,
  );
  const edges = phases.flatMap(({ name, needs }) => needs.map((need) => `  ${ids.get(need)} --> ${ids.get(name)}`));
  return `${['flowchart LR', ...nodes, ...edges].join('\n')}\n`;
}
