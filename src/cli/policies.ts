import { join, resolve } from 'node:path';
import { type PolicySet, loadPolicySet } from '../gates/load-policy.ts';
import { type DefinitionFolders, readOverlay, readPolicies, shippedFolders } from '../producer/definitions-builder.ts';
import { PACKAGE_ROOT } from '../shared/package-root.ts';
import type { CommandContext } from './session.ts';

/** Where a repository keeps its own additions to the policies. */
export const OVERLAY_FILE = 'maestro.policies.yaml';

export interface PolicyFlags {
  /** A policy file instead of the shipped ones. */
  policy?: string;
  /** An overlay other than `maestro.policies.yaml`. */
  overlay?: string;
}

/** The policies that count for a folder: the shipped or given ones, with the folder's overlay where there is one. */
export async function loadPolicies(context: CommandContext, flags: PolicyFlags, folder: string): Promise<PolicySet> {
  const { policies } = definitionFolders(context, flags);
  const overlay = await readOverlay(overlayOf(context, flags, folder));
  if (overlay !== undefined) context.terminal.err(`the policies are overlaid by ${overlay.file}`);
  return loadPolicySet([...(await readPolicies(policies)), ...(overlay === undefined ? [] : [overlay])]);
}

const overlayOf = (
  context: CommandContext,
  flags: PolicyFlags,
  folder: string,
): NonNullable<DefinitionFolders['overlay']> =>
  flags.overlay === undefined
    ? { file: join(folder, OVERLAY_FILE), isRequired: false }
    : { file: resolve(context.cwd, flags.overlay), isRequired: true };

/** The shipped definitions, with the policies and the overlay that a command was given. */
export const definitionFolders = (context: CommandContext, flags: PolicyFlags): DefinitionFolders => {
  const shipped = shippedFolders(PACKAGE_ROOT);
  return {
    ...shipped,
    policies: flags.policy === undefined ? shipped.policies : resolve(context.cwd, flags.policy),
    overlay: overlayOf(context, flags, context.cwd),
  };
};
