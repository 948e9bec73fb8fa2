import { NO_POLICY, type PolicySet, findPolicy, judgementMetrics } from '../gates/load-policy.ts';
import type { Definitions } from '../shared/definitions.ts';
import { FleetError } from '../shared/errors.ts';
import { newRunId, type RunId } from '../shared/names.ts';
import { findPersona } from '../shared/persona-files.ts';
import type { Persona } from '../shared/persona-schema.ts';
import type { BlobRef, PlannedPhase, ProviderName, RunPlan } from '../shared/run-record.ts';
import { type Budget, type InputValues, type Phase, durationMs } from '../shared/workflow-schema.ts';
import { nearestHint } from '../shared/yaml-file.ts';
import { type ExpandedPhase, expandWorkflow, isRepeated } from './expand.ts';
import { PlannedTexts } from './planned-texts.ts';
import { writtenPersonas } from './workflow-check.ts';

const DEFAULTS = { attempts: 3, rework: 2, timeout: '20m', model: 'claude-sonnet' } as const;
/** What a phase's model is called when a script plays it. */
const SCRIPTED_MODEL = 'scripted';
const SCRIPTED_FALLBACK = 'scripted-fallback';

export interface PlanRequest {
  definitions: Definitions;
  definitionsRef: BlobRef;
  /** The policies of the definitions, checked. */
  policySet: PolicySet;
  /** Digest of the workflow file. */
  digest: string;
  /** Null before they are given: what reads them then stays as it is written. */
  inputs: InputValues | null;
  provider: ProviderName;
  priority?: number;
  scripted: RunPlan['scripted'];
  budget?: Budget;
  runId?: RunId;
  startFrom?: RunPlan['startFrom'];
  /** Files that the first workspaces begin with. */
  files?: RunPlan['files'];
  isRecorded?: boolean;
  cassette?: RunPlan['cassette'];
}

/** Fills in every default, so that a run has nothing left to look up. Takes definitions that have been checked. */
export function planRun(request: PlanRequest): RunPlan {
  const { definitions } = request;
  const { workflow } = definitions;
  const { phases, parts } = expandWorkflow(workflow, definitions.subWorkflows ?? {});
  const texts = new PlannedTexts(workflow, parts, request.inputs);
  const { perDay, ...ofRun } = workflow.budget ?? {};
  const priority = request.priority ?? workflow.priority ?? 0;
  return {
    schemaVersion: 1,
    runId: request.runId ?? newRunId(),
    workflow: workflow.name,
    workflowDigest: request.digest,
    definitions: request.definitionsRef,
    inputs: texts.inputs,
    provider: request.provider,
    budget: request.budget ?? ofRun,
    ...(perDay === undefined ? {} : { dayBudget: perDay }),
    ...(request.isRecorded === true ? { isRecorded: true } : {}),
    ...(request.cassette === undefined ? {} : { cassette: request.cassette }),
    scripted: request.scripted,
    ...(parts.length === 0 ? {} : { parts: texts.parts }),
    ...(priority === 0 ? {} : { priority }),
    ...(request.startFrom === undefined ? {} : { startFrom: checkStart(request.startFrom, phases) }),
    ...(workflow.concurrency === undefined ? {} : { concurrency: texts.group(workflow.concurrency, '') }),
    ...(request.files === undefined ? {} : { files: request.files }),
    phases: phases.map((expanded) => planPhase(request, texts, expanded)),
    createdAt: new Date().toISOString(),
  };
}

function checkStart(
  startFrom: NonNullable<RunPlan['startFrom']>,
  phases: readonly ExpandedPhase[],
): NonNullable<RunPlan['startFrom']> {
  const names = phases.map((phase) => phase.name);
  if (names.includes(startFrom.phase)) return startFrom;
  throw new FleetError(
    'BAD_INPUT',
    `the run cannot start from "${startFrom.phase}": there is no such phase${nearestHint(startFrom.phase, names)}`,
    { remedy: `The phases are: ${names.join(', ')}.` },
  );
}

function planPhase(request: PlanRequest, texts: PlannedTexts, expanded: ExpandedPhase): PlannedPhase {
  const { definitions, policySet } = request;
  const { name, written, phase, prefix, conditions, owner } = expanded;
  const personas = writtenPersonas(phase).map((persona) => personaOf(definitions, persona));
  const found = phase.policy === NO_POLICY ? null : findPolicy(policySet, written, phase.policy);
  const { defaults } = owner;
  const ofInstances = isRepeated(phase);
  return {
    name,
    needs: expanded.needs,
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
    ...modelsOf(request, expanded, personas),
    attempts: phase.attempts ?? defaults.attempts ?? DEFAULTS.attempts,
    rework: phase.rework ?? defaults.rework ?? DEFAULTS.rework,
    timeoutMs: durationMs(phase.timeout ?? defaults.timeout ?? DEFAULTS.timeout),
    // What instances are told and where they queue may hold their item, which is known when they are made.
    description: ofInstances ? (phase.description ?? '') : texts.description(phase.description ?? '', prefix),
    ...(prefix === '' ? {} : { prefix }),
    ...(conditions.length === 0 ? {} : { conditions }),
    ...(ofInstances ? { repeat: repeatOf(phase) } : {}),
    ...(phase.concurrency === undefined
      ? {}
      : { concurrency: ofInstances ? phase.concurrency : texts.group(phase.concurrency, prefix) }),
  };
}

const repeatOf = ({ foreach, matrix, parallel }: Phase): PlannedPhase['repeat'] => ({
  lists: matrix ?? (foreach === undefined ? {} : { item: foreach }),
  isMatrix: matrix !== undefined,
  parallel: parallel ?? null,
});

function personaOf(definitions: Definitions, written: string): Persona {
  const persona = findPersona(definitions.personas, written);
  if (persona === undefined) throw new FleetError('BAD_INPUT', `the definitions hold no persona "${written}"`);
  return persona;
}

/** The model of a phase and its fallback, if the workflow allows one. Those of a script have names of their own. */
function modelsOf(
  { definitions, provider, cassette }: PlanRequest,
  expanded: ExpandedPhase,
  personas: readonly Persona[],
): Pick<PlannedPhase, 'model' | 'fallback'> {
  const isScript = provider === 'scripted' || cassette?.provider === 'scripted';
  const { name, phase, owner } = expanded;
  const alias = phase.fallback ?? owner.defaults.fallback;
  const fallback = alias === undefined ? undefined : modelNamed(definitions, name, alias);
  const model = isScript ? SCRIPTED_MODEL : modelOf(definitions, expanded, personas);
  if (fallback === undefined || fallback === model) return { model };
  return { model, fallback: isScript ? SCRIPTED_FALLBACK : fallback };
}

/** The phase's own word counts most, then its personas', then the workflow's default. */
function modelOf(
  definitions: Definitions,
  { name, phase, owner }: ExpandedPhase,
  personas: readonly Persona[],
): string {
  const wished = [...new Set(personas.flatMap((persona) => persona.model ?? []))];
  if (phase.model === undefined && wished.length > 1)
    throw new FleetError(
      'BAD_INPUT',
      `the personas of phase "${name}" ask for different models: ${wished.join(', ')}`,
      {
        remedy: 'Set `model` on the phase.',
      },
    );
  return modelNamed(definitions, name, phase.model ?? wished[0] ?? owner.defaults.model ?? DEFAULTS.model);
}

/** The model that an alias stands for. */
function modelNamed(definitions: Definitions, name: string, alias: string): string {
  const model = Object.hasOwn(definitions.models, alias) ? definitions.models[alias] : undefined;
  if (model === undefined)
    throw new FleetError(
      'BAD_INPUT',
      `phase "${name}" asks for the model "${alias}", which the model file does not list${nearestHint(alias, Object.keys(definitions.models))}`,
      { remedy: 'Add it to config/models.yaml; its price may be null.' },
    );
  return model;
}
