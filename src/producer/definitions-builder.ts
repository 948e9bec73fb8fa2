import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { NO_POLICY, type PolicySet, findPolicy, judgementMetrics, loadPolicySet } from '../gates/load-policy.ts';
import { type BlobStore, putJson } from '../shared/blob-store.ts';
import { Definitions, type PolicySource } from '../shared/definitions.ts';
import { FleetError, errorMessage } from '../shared/errors.ts';
import { hasCode } from '../shared/file-lock.ts';
import { type ModelConfig, loadModelConfig, modelNames } from '../shared/model-config.ts';
import { type PersonaFiles, findPersona, personasIn, readPersonas } from '../shared/persona-files.ts';
import type { Persona } from '../shared/persona-schema.ts';
import type { BlobRef } from '../shared/run-record.ts';
import { type ExpandedPhase, expandWorkflow, nestedWorkflows } from './expand.ts';
import { assertWorkflow, writtenPersonas } from './workflow-check.ts';
import type { LoadedWorkflow } from './workflow-file.ts';

/** Where the definitions other than the workflow are read from. */
export interface DefinitionFolders {
  personas: string;
  /** A folder of the user's own: its personas stand beside those, or in their place when they have the same name. */
  ownPersonas?: string | undefined;
  /** A policy file, or a folder of them. */
  policies: string;
  models: string;
  /** An overlay on the policies. One that is not required may be absent. */
  overlay?: { file: string; isRequired: boolean };
}

export const shippedFolders = (packageRoot: string): DefinitionFolders => ({
  personas: join(packageRoot, 'personas'),
  policies: join(packageRoot, 'policies'),
  models: join(packageRoot, 'config', 'models.yaml'),
});

/** What runs are made from beside their workflow: read and checked once, however many runs begin with it. */
export interface RunSources {
  personas: Readonly<Record<string, Persona>>;
  /** The same, with where they are written. */
  personaFiles: PersonaFiles;
  policies: readonly PolicySource[];
  policySet: PolicySet;
  models: ModelConfig;
  /** For messages. */
  modelsFile: string;
}

/** Reads and checks personas, policies with their overlay, and models. */
export async function loadRunSources(folders: DefinitionFolders): Promise<RunSources> {
  const [personaFiles, base, overlay, models] = await Promise.all([
    readPersonas(personaFolders(folders)),
    readPolicies(folders.policies),
    readOverlay(folders.overlay),
    loadModelConfig(folders.models),
  ]);
  const policies = overlay === undefined ? base : [...base, overlay];
  const personas = personasIn(personaFiles);
  return { personas, personaFiles, policies, policySet: loadPolicySet(policies), models, modelsFile: folders.models };
}

/** The folders with personas, in the order in which they count. */
export const personaFolders = ({
  personas,
  ownPersonas,
}: Pick<DefinitionFolders, 'personas' | 'ownPersonas'>): string[] => [
  personas,
  ...(ownPersonas === undefined ? [] : [ownPersonas]),
];

/** Checks a workflow against personas, policies and models, and gathers what its runs need of them. */
export function buildDefinitions(loaded: LoadedWorkflow, sources: RunSources): Definitions {
  const { personas, policies, policySet, models } = sources;
  const { workflow } = loaded;
  const policyNames = [...policySet.policies.keys()];
  assertWorkflow({
    ...loaded,
    personas,
    policyNames,
    metricNames: Object.keys(policySet.metrics),
    personaFiles: sources.personaFiles,
    artifactNames: Object.keys(policySet.artifacts),
  });
  const subWorkflows = nestedWorkflows(loaded.subs);
  const { phases } = expandWorkflow(workflow, subWorkflows);
  return Definitions.parse({
    schemaVersion: 1,
    workflow,
    ...(Object.keys(subWorkflows).length === 0 ? {} : { subWorkflows }),
    personas: usedPersonas(phases, personas, policySet),
    policies,
    models: modelNames(models),
  });
}

export const storeDefinitions = (blobs: BlobStore, definitions: Definitions): Promise<BlobRef> =>
  putJson(blobs, definitions);

/** Reads one policy file, or every one of a folder. */
export async function readPolicies(place: string): Promise<PolicySource[]> {
  try {
    const isFolder = (await stat(place)).isDirectory();
    const names = isFolder ? (await readdir(place)).filter((name) => /\.ya?ml$/.test(name)).toSorted() : [];
    const files = isFolder ? names.map((name) => join(place, name)) : [place];
    if (files.length === 0) throw new FleetError('NOT_FOUND', `${place} holds no policy file`);
    return await Promise.all(files.map(async (file) => ({ file, text: await readFile(file, 'utf8') })));
  } catch (err) {
    if (err instanceof FleetError) throw err;
    throw new FleetError('NOT_FOUND', `the policies at ${place} cannot be read: ${errorMessage(err)}`, { cause: err });
  }
}

/** Reads the overlay on the policies, where there is one. */
export async function readOverlay(place: DefinitionFolders['overlay']): Promise<PolicySource | undefined> {
  if (place === undefined) return undefined;
  try {
    return { file: place.file, text: await readFile(place.file, 'utf8'), kind: 'overlay' };
  } catch (err) {
    if (!place.isRequired && hasCode(err, 'ENOENT')) return undefined;
    throw new FleetError('NOT_FOUND', `the overlay ${place.file} cannot be read: ${errorMessage(err)}`, { cause: err });
  }
}

/** The personas a run can meet: its authors, and the reviewers that the policies' metrics name. */
function usedPersonas(
  phases: readonly ExpandedPhase[],
  personas: Readonly<Record<string, Persona>>,
  policySet: PolicySet,
): Record<string, Persona> {
  const used: Record<string, Persona> = {};
  const problems: string[] = [];
  for (const written of phases.flatMap(({ phase }) => writtenPersonas(phase))) {
    const persona = findPersona(personas, written);
    if (persona !== undefined) used[persona.name] = persona;
  }
  for (const { name, written: lookup, phase } of phases) {
    if (phase.policy === NO_POLICY) continue;
    const authors = writtenPersonas(phase).map((written) => findPersona(personas, written)?.name);
    const { reviews } = judgementMetrics(policySet, findPolicy(policySet, lookup, phase.policy).policy);
    for (const { metric, reviewer } of reviews) {
      const persona = findPersona(personas, reviewer);
      const judged = `${metric} of phase "${name}" is judged by "${reviewer}"`;
      if (persona === undefined) problems.push(`${judged}: there is no such persona`);
      else if (authors.includes(persona.name)) problems.push(`${judged}, who is an author of that phase`);
      else used[persona.name] = persona;
    }
  }
  if (problems.length > 0)
    throw new FleetError('BAD_INPUT', problems.join('; '), { remedy: 'Add the persona file, or change the policy.' });
  return used;
}
