import { join, resolve } from 'node:path';
import { assertDeclaredOutside, loadDeclared } from '../gates/collectors/code/declared/load-declared.ts';
import { type PolicySet, loadPolicySet } from '../gates/load-policy.ts';
import {
  type DefinitionFolders,
  type RunSources,
  loadRunSources,
  personaFolders,
  readOverlay,
  readPolicies,
  shippedFolders,
} from '../producer/definitions-builder.ts';
import type { PolicySource } from '../shared/definitions.ts';
import { FleetError } from '../shared/errors.ts';
import { PACKAGE_ROOT } from '../shared/package-root.ts';
import { type PersonaFiles, readPersonas } from '../shared/persona-files.ts';
import type { CommandContext } from './session.ts';

/** Where a repository keeps its own additions to the policies. */
export const OVERLAY_FILE = 'maestro.policies.yaml';

export interface PolicyFlags {
  /** A policy file instead of the shipped ones. */
  policy?: string;
  /** An overlay other than `maestro.policies.yaml`. */
  overlay?: string;
  /** A folder of personas beside the shipped ones, instead of the one that `MAESTRO_PERSONAS` names. */
  personasDir?: string;
}

type PersonaFlags = Pick<PolicyFlags, 'personasDir'>;

/** Every persona there is: the shipped ones, and those of a folder of the user's own beside them or in their place. */
export const allPersonas = (context: CommandContext, flags: PersonaFlags): Promise<PersonaFiles> =>
  readPersonas(personaFolders(definitionFolders(context, flags)));

/** The folder of the user's own, for processes that are started in another place. */
export function ownPersonas(context: CommandContext, flags: PersonaFlags): Record<string, string> {
  const folder = definitionFolders(context, flags).ownPersonas;
  return folder === undefined ? {} : { MAESTRO_PERSONAS: folder };
}

/** The policies that count for a folder: the shipped or given ones, with the folder's overlay where there is one. */
export async function loadPolicies(context: CommandContext, flags: PolicyFlags, folder: string): Promise<PolicySet> {
  const { policies } = definitionFolders(context, flags);
  const overlay = await readOverlay(overlayOf(context, flags, folder));
  const sources = [...(await readPolicies(policies)), ...(overlay === undefined ? [] : [overlay])];
  announceOverlay(context, sources);
  return loadPolicySet(sources);
}

/** The policies of runs that name no others. */
export const usualPolicies = (context: CommandContext): Promise<PolicySource[]> =>
  readPolicies(definitionFolders(context, {}).policies);

/** What runs are made from: the shipped definitions, with the policies and the overlay that a command was given. */
export async function runSources(context: CommandContext, flags: PolicyFlags): Promise<RunSources> {
  const sources = await loadRunSources(definitionFolders(context, flags));
  announceOverlay(context, sources.policies);
  return sources;
}

function announceOverlay({ terminal }: CommandContext, policies: readonly PolicySource[]): void {
  const overlay = policies.find(({ kind }) => kind === 'overlay');
  if (overlay !== undefined) terminal.err(`the policies are overlaid by ${overlay.file}`);
}

/** The policies with the commands that a measure file or the overlay declares, if these are not the author's own. */
export async function declaredFor(
  { cwd }: CommandContext,
  root: string,
  measure: string | undefined,
  policySet: PolicySet,
): Promise<PolicySet> {
  const fromOverlay = policySet.declared;
  if (fromOverlay) await assertDeclaredOutside(root, { name: fromOverlay.file, path: resolve(fromOverlay.file) });
  if (measure === undefined) return policySet;
  if (fromOverlay)
    throw new FleetError('BAD_USAGE', `both --measure ${measure} and ${fromOverlay.file} declare commands`, {
      remedy: 'Declare all of them in one of the two.',
    });
  const path = resolve(cwd, measure);
  const declared = await loadDeclared({ name: measure, path, catalogue: policySet.metrics });
  await assertDeclaredOutside(root, { name: `--measure ${measure}`, path });
  return { ...policySet, declared };
}

const overlayOf = (
  context: CommandContext,
  flags: PolicyFlags,
  folder: string,
): NonNullable<DefinitionFolders['overlay']> =>
  flags.overlay === undefined
    ? { file: join(folder, OVERLAY_FILE), isRequired: false }
    : { file: resolve(context.cwd, flags.overlay), isRequired: true };

/** Where the models, their prices and endpoints stand: the file that ships, or the operator's own. */
export const modelsFileOf = ({ config }: Pick<CommandContext, 'config'>): string =>
  config.modelsFile ?? shippedFolders(PACKAGE_ROOT).models;

const definitionFolders = (context: CommandContext, flags: PolicyFlags): DefinitionFolders => {
  const shipped = shippedFolders(PACKAGE_ROOT);
  return {
    ...shipped,
    models: modelsFileOf(context),
    ownPersonas: flags.personasDir === undefined ? context.config.personas : resolve(context.cwd, flags.personasDir),
    policies: flags.policy === undefined ? shipped.policies : resolve(context.cwd, flags.policy),
    overlay: overlayOf(context, flags, context.cwd),
  };
};
