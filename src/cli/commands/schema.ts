import { z } from 'zod';
import { contractsJsonSchema, overlayJsonSchema, policyJsonSchema } from '../../gates/load-policy.ts';
import { EXIT, FleetError } from '../../shared/errors.ts';
import { Persona } from '../../shared/persona-schema.ts';
import { Workflow } from '../../shared/workflow-schema.ts';
import { nearestHint } from '../../shared/yaml-file.ts';
import type { CommandContext } from '../session.ts';

const SCHEMAS: Readonly<Record<string, () => Record<string, unknown>>> = {
  policy: policyJsonSchema,
  overlay: overlayJsonSchema,
  contracts: contractsJsonSchema,
  workflow: () => z.toJSONSchema(Workflow, { io: 'input' }),
  persona: () => z.toJSONSchema(Persona, { io: 'input' }),
};
export const SCHEMA_KINDS: readonly string[] = Object.keys(SCHEMAS);

/** `maestro schema policy|overlay|contracts|workflow|persona`: made from what the files are really checked with. */
export function schemaCommand(context: CommandContext, kind: string): Promise<number> {
  const schema = Object.hasOwn(SCHEMAS, kind) ? SCHEMAS[kind] : undefined;
  if (schema === undefined)
    throw new FleetError('BAD_USAGE', `there is no schema "${kind}"${nearestHint(kind, SCHEMA_KINDS)}`, {
      remedy: `Use one of: ${SCHEMA_KINDS.join(', ')}.`,
    });
  context.terminal.out(JSON.stringify(schema(), undefined, 2));
  return Promise.resolve(EXIT.passed);
}
