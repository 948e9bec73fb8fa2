import { z } from 'zod';
import { Name } from '../shared/names.ts';
import { Direction, Severity } from '../shared/verdict.ts';
import { ArtifactSpec } from './policy-schema.ts';

const ContractGate = z.strictObject({
  /** A metric of the catalogue of the phase policies. */
  metric: Name,
  threshold: z.number(),
  direction: Direction,
  severity: Severity,
});
export type ContractGate = z.infer<typeof ContractGate>;

/** What one persona's work must reach, beside the policy of its phase. */
const PersonaContract = z.strictObject({
  quality_gates: z.record(Name, ContractGate),
  /** Artifacts of this file's catalogue, or of the phase policies'. One that is missing blocks. */
  required_artifacts: z.array(Name),
});
export type PersonaContract = z.infer<typeof PersonaContract>;

/** The contracts of personas. Everything in it is evaluated for every gated phase of a run. */
export const PersonaContracts = z.strictObject({
  version: z.string(),
  /** How it counts when something is missing that a persona's own file says it hands on. */
  deliverables: z.strictObject({ severity: Severity }),
  /** The share of a phase's gates that must have passed, or been bypassed. */
  gates_passed_ratio: z.strictObject({ threshold: z.number().min(0).max(1), severity: Severity }),
  artifacts: z.record(Name, ArtifactSpec),
  /** For personas without a contract of their own: a floor under what the policy of their phase judges. */
  default_quality_gates: z.record(Name, ContractGate),
  personas: z.record(Name, PersonaContract),
});
export type PersonaContracts = z.infer<typeof PersonaContracts>;
