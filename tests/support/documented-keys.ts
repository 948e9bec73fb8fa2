import { z } from 'zod';

/** The names of all properties of a JSON Schema, at any depth. */
function keysOf(schema: unknown, keys = new Set<string>()): Set<string> {
  if (typeof schema !== 'object' || schema === null) return keys;
  if ('properties' in schema && typeof schema.properties === 'object' && schema.properties !== null)
    for (const key of Object.keys(schema.properties)) keys.add(key);
  for (const part of Object.values(schema)) keysOf(part, keys);
  return keys;
}

/** The keys of a file that its page names nowhere: neither in backticks nor as a key of an example. */
export function undocumentedKeys(page: string, schema: z.ZodType): string[] {
  const named = new Set([...page.matchAll(/`[^`\n]+`|[\w]+(?=:)/g)].flatMap(([text]) => text.match(/\w+/g) ?? []));
  return [...keysOf(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }))].filter((key) => !named.has(key));
}
