import { NO_POLICY, type PolicySet, findPolicy, judgementMetrics } from '../gates/load-policy.ts';
import type { Definitions } from '../shared/definitions.ts';
import { FleetError } from '../shared/errors.ts';
import { newRunId, type RunId } from '../shared/names.ts';
import { findPersona } from '../shared/persona-files.ts';
import type { Persona } from '../shared/persona-schema.ts';
import type { BlobRef, PlannedPhase, ProviderName, RunPlan } from '../shared/run-record.ts';
import { type Budget, type InputValues, type Phase, durationMs } from '../shared/workflow-schema.ts';
import { nearestHint } from '../shared/yaml-file.ts';
import { walkDag } from './dag.ts';
import { checkInputs } from './inputs.ts';
import { workflowDag, writtenPersonas } from './workflow-check.ts';

const DEFAULTS = { attempts: 3, rework: 2, timeout: '20m', model: 'claude-sonnet' } as const;
/** What a phase's model is called when a script plays it. */
const SCRIPTED_MODEL = 'scripted';

export interface PlanRequest {
  definitions: Definitions;
  definitionsRef: BlobRef;
  /** The policies of the definitions, checked. */
  policySet: PolicySet;
  /** Digest of the workflow file. */
  digest: string;
  inputs: InputValues;
  provider: ProviderName;
  scripted: RunPlan['scripted'];
  budget?: Budget;
  runId?: RunId;
}

/** Fills in every default, so that a run has nothing left to look up. Takes definitions that have been checked. */
export function planRun(request: PlanRequest): RunPlan {
  const { definitions, policySet, provider } = request;
  const { workflow } = definitions;
  const phases = walkDag(workflowDag(workflow)).order.flatMap((name): PlannedPhase[] => {
    const phase = workflow.phases[name];
    if (phase === undefined) return [];
    const personas = writtenPersonas(phase).map((written) => personaOf(definitions, written));
    const found = phase.policy === NO_POLICY ? null : findPolicy(policySet, name, phase.policy);
    return [
      {
        name,
        needs: phase.needs ?? [],
        personas: personas.map((persona) => persona.name),
        policy: found?.policy ?? null,
        policyFallback: found?.fallback ?? false,
        approvalRole: phase.approval?.role ?? null,
        approvalRoles: [
          ...new Set([
            ...(found === null ? [] : judgementMetrics(policySet, found.policy).approvals.map(({ role }) => role)),
            ...(phase.approval === undefined ? [] : [phase.approval.role]),
          ]),
        ].toSorted(),
        model: provider === 'scripted' ? SCRIPTED_MODEL : modelOf(definitions, name, phase, personas),
        attempts: phase.attempts ?? workflow.defaults.attempts ?? DEFAULTS.attempts,
        rework: phase.rework ?? workflow.defaults.rework ?? DEFAULTS.rework,
        timeoutMs: durationMs(phase.timeout ?? workflow.defaults.timeout ?? DEFAULTS.timeout),
        description: phase.description ?? '',
      },
    ];
  });
  return {
    schemaVersion: 1,
    runId: request.runId ?? newRunId(),
    workflow: workflow.name,
    workflowDigest: request.digest,
    definitions: request.definitionsRef,
    inputs: checkInputs(workflow, request.inputs),
    provider,
    budget: request.budget ?? workflow.budget ?? {},
    scripted: request.scripted,
    phases,
    createdAt: new Date().toISOString(),
  };
}

function personaOf(definitions: Definitions, written: string): Persona {
  const persona = findPersona(definitions.personas, written);
  if (persona === undefined) throw new FleetError('BAD_INPUT', `the definitions hold no persona "${written}"`);
  return persona;
}

/** The phase's own word counts most, then its personas', then the workflow's default. */
function modelOf(definitions: Definitions, name: string, phase: Phase, personas: readonly Persona[]): string {
  const wished = [...new Set(personas.flatMap((persona) => persona.model ?? []))];
  if (phase.model === undefined && wished.length > 1)
    throw new FleetError(
      'BAD_INPUT',
      `the personas of phase "${name}" ask for different models: ${wished.join(', ')}`,
      {
        remedy: 'Set `model` on the phase.',
      },
    );
  const alias = phase.model ?? wished[0] ?? definitions.workflow.defaults.model ?? DEFAULTS.model;
  const model = Object.hasOwn(definitions.models, alias) ? definitions.models[alias] : undefined;
  if (model === undefined)
    throw new FleetError(
      'BAD_INPUT',
      `phase "${name}" asks for the model "${alias}", which the model file does not list${nearestHint(alias, Object.keys(definitions.models))}`,
      { remedy: 'Add it to config/models.yaml; its price may be null.' },
    );
  return model;
}
