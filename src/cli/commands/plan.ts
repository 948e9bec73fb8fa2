import { createHash } from 'node:crypto';
import { type RunSources, buildDefinitions } from '../../producer/definitions-builder.ts';
import { describePlan, planAsMermaid, planAsText } from '../../producer/plan-description.ts';
import { planRun } from '../../producer/plan.ts';
import { loadWorkflow } from '../../producer/workflow-file.ts';
import { EXIT, InvalidInputError, type Problem } from '../../shared/errors.ts';
import { BlobRef } from '../../shared/run-record.ts';
import { PACKAGE_ROOT } from '../../shared/package-root.ts';
import { type PolicyFlags, runSources } from '../policies.ts';
import type { CommandContext } from '../session.ts';
import { checkPersonas, personaFilesAt } from '../persona-files.ts';

const places = (context: CommandContext): { cwd: string; packageRoot: string } => ({
  cwd: context.cwd,
  packageRoot: PACKAGE_ROOT,
});

/** `maestro validate FILE...`: every problem of every workflow and persona file, with line and column. Costs nothing. */
export async function validateCommand(
  context: CommandContext,
  names: readonly string[],
  flags: PolicyFlags & { json?: boolean },
): Promise<number> {
  const { terminal } = context;
  const problems: Problem[] = [];
  const valid: string[] = [];
  let sources: RunSources | undefined;
  for (const name of names) {
    try {
      const files = await personaFilesAt(context, name);
      if (files !== undefined) {
        sources ??= await runSources(context, flags);
        for (const file of checkPersonas(files, sources)) {
          valid.push(file);
          if (flags.json !== true) terminal.out(`${file}: valid persona`);
        }
        continue;
      }
      const loaded = await loadWorkflow(name, places(context));
      sources ??= await runSources(context, flags);
      const definitions = buildDefinitions(loaded, sources);
      valid.push(loaded.file);
      if (flags.json !== true)
        terminal.out(`${loaded.file}: valid, ${Object.keys(definitions.workflow.phases).length} phases`);
    } catch (err) {
      if (!(err instanceof InvalidInputError)) throw err;
      problems.push(...err.problems);
      if (flags.json !== true) terminal.err(err.message);
    }
  }
  if (flags.json === true) terminal.out(JSON.stringify({ valid, problems }, null, 2));
  return problems.length === 0 ? EXIT.passed : EXIT.badInput;
}

/** `maestro plan WORKFLOW`: what a run would do, without Redis, a model or a key. */
export async function planCommand(
  context: CommandContext,
  name: string,
  flags: PolicyFlags & { json?: boolean; mermaid?: boolean },
): Promise<number> {
  const loaded = await loadWorkflow(name, places(context));
  const sources = await runSources(context, flags);
  const definitions = buildDefinitions(loaded, sources);
  // Inputs are given when a run starts; a plan is the same for all of them.
  const plan = planRun({
    definitions,
    definitionsRef: BlobRef.parse(createHash('sha256').update(JSON.stringify(definitions)).digest('hex')),
    policySet: sources.policySet,
    digest: loaded.digest,
    inputs: null,
    provider: 'anthropic',
    scripted: null,
  });
  const description = describePlan(plan, definitions, sources.models);
  if (flags.json === true) context.terminal.out(JSON.stringify(description, null, 2));
  else context.terminal.out((flags.mermaid === true ? planAsMermaid : planAsText)(description).trimEnd());
  return EXIT.passed;
}
