import type { Definitions } from '../../shared/definitions.ts';
import type { Handoff } from '../../shared/handoff.ts';
import { findPersona } from '../../shared/persona-files.ts';
import type { Deliverable } from '../../shared/persona-schema.ts';
import { phasesBefore } from '../../shared/phases-before.ts';
import type { PlannedPhase } from '../../shared/run-record.ts';
import type { Finding } from '../../shared/verdict.ts';
import type { ReadDocument } from '../document-problems.ts';
import type { PolicySet } from '../load-policy.ts';
import { lookAtDeliverable } from './deliverable-problems.ts';

/** A run's phases and personas: between them run the edges that hand-offs travel. */
export interface Web {
  phases: readonly PlannedPhase[];
  personas: Definitions['personas'];
}

/** Something that a later phase needs of this one. */
export interface Owed {
  need: string;
  /** Who needs it, such as `backend (backend_developer)`. */
  by: string[];
  /** Whether anybody builds against it as an interface. */
  asContract: boolean;
  /** The personas of this phase that make it, and how. */
  makers: { persona: string; spec: Deliverable }[];
}

const writtenAs = (phase: PlannedPhase): string => phase.instance?.of ?? phase.name;

const makersIn = ({ personas }: Web, phase: PlannedPhase, need: string): Owed['makers'] =>
  phase.personas.flatMap((persona) => {
    const spec = findPersona(personas, persona)?.deliverables[need];
    return spec === undefined ? [] : [{ persona, spec }];
  });

/** What the phases after this one need of it, by the needs of their personas. */
export function owedBy(web: Web, phase: PlannedPhase): Owed[] {
  const owed = new Map<string, Owed>();
  for (const later of web.phases) {
    if (
      !phasesBefore(web.phases, later).some(
        (earlier) => earlier.name === phase.name || earlier.name === writtenAs(phase),
      )
    )
      continue;
    for (const name of later.personas) {
      const consumer = findPersona(web.personas, name);
      for (const need of consumer?.needs ?? []) {
        const makers = makersIn(web, phase, need);
        if (makers.length === 0) continue;
        const known = owed.get(need) ?? { need, by: [], asContract: false, makers };
        const who = `${writtenAs(later)} (${name})`;
        owed.set(need, {
          ...known,
          by: known.by.includes(who) ? known.by : [...known.by, who],
          asContract: known.asContract || consumer?.buildsAgainst.includes(need) === true,
        });
      }
    }
  }
  return [...owed.values()];
}

/**
 * What is missing of what later phases need: files that are not there or lack what they must hold, and interfaces that no
 * hand-off points to. `handoffs` are left out where nobody has handed off yet.
 */
export async function owedFindings(
  root: string,
  owed: readonly Owed[],
  handoffs?: readonly { persona: string; handoff: Handoff }[],
  read?: ReadDocument,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { need, by, asContract, makers } of owed) {
    const states = await Promise.all(
      makers.map(async ({ persona, spec }) => ({ persona, spec, ...(await lookAtDeliverable(root, spec, read)) })),
    );
    const add = (rule: string, persona: string, message: string): void => {
      findings.push({ rule, severity: 'error', persona, message });
    };
    if (states.every(({ problems }) => problems.length > 0))
      for (const { persona, problems } of states)
        add('handoff/need', persona, `${need} is needed by ${by.join(', ')}, but ${problems.join('; ')}`);
    const contracts = (handoffs ?? []).flatMap(({ handoff }) => handoff.contracts);
    const files = states.flatMap((state) => state.files);
    if (handoffs === undefined || !asContract || contracts.some(({ file }) => files.includes(file))) continue;
    for (const { persona, spec } of states)
      add(
        'handoff/contract',
        persona,
        `${by.join(', ')} build against ${need}, but no contract of the hand-off names a file of it (${spec.paths.join(', ')})`,
      );
  }
  return findings;
}

/** Where something that a persona needs comes from. */
export interface MetNeed {
  need: string;
  /** Empty for an input of the run. */
  paths: string[];
  /** `design (solution_architect)`, or what else gives it. */
  from: string;
}

/** Finds what a persona needs in the files it begins with. What is not there is a reason not to begin. */
export async function findNeeds(
  root: string,
  web: Web,
  of: {
    phase: PlannedPhase;
    persona: string;
    inputs: Readonly<Record<string, unknown>>;
    artifacts: PolicySet['artifacts'];
  },
): Promise<{ met: MetNeed[]; unmet: string[] }> {
  const met: MetNeed[] = [];
  const unmet: string[] = [];
  const before = phasesBefore(web.phases, of.phase);
  for (const need of findPersona(web.personas, of.persona)?.needs ?? []) {
    if (of.inputs[need] !== undefined) {
      met.push({ need, paths: [], from: 'input of the run' });
      continue;
    }
    const makers = before.flatMap((phase) =>
      makersIn(web, phase, need).map(({ persona, spec }) => ({
        paths: spec.paths,
        from: `${writtenAs(phase)} (${persona})`,
      })),
    );
    // Somebody in the same phase makes it at the same time: it cannot be there yet.
    if (makers.length === 0 && makersIn(web, of.phase, need).some(({ persona }) => persona !== of.persona)) continue;
    const paths = of.artifacts[need]?.paths ?? [];
    const places = makers.length > 0 ? makers : [{ paths, from: 'what the run was given' }];
    const found = await Promise.all(
      places.map(async (place) => ((await lookAtDeliverable(root, place)).files.length > 0 ? [place] : [])),
    );
    const known = new Map(found.flat().map((place) => [place.from, { need, ...place }]));
    if (known.size > 0) met.push(...known.values());
    else
      unmet.push(
        `${need} is not there: ${[...new Set(places.map(({ paths: at, from }) => `no file ${at.join(' or ') || 'of that name'}, from ${from}`))].join('; ')}`,
      );
  }
  return { met, unmet };
}
