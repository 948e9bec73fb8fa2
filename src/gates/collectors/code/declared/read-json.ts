import { z } from 'zod';
import { refuse } from './refusal.ts';

export function readJson(text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    return refuse('the report is no JSON');
  }
}

/** RFC 6901; undefined where nothing stands. */
function at(document: unknown, pointer: string): unknown {
  let value = document;
  for (const part of pointer.slice(1).split('/')) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = new Map<string, unknown>(Object.entries(value)).get(key);
  }
  return value;
}

export function numberAt(document: unknown, pointer: string): number {
  const value = at(document, pointer);
  return typeof value === 'number' && Number.isFinite(value) ? value : refuse(`there is no number at ${pointer}`);
}

/** A whole number, or the length of a list. */
export function countAt(document: unknown, pointer: string): number {
  const value = at(document, pointer);
  if (Array.isArray(value)) return value.length;
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
    ? value
    : refuse(`there is no count at ${pointer}`);
}

const Sarif = z.object({
  version: z.literal('2.1.0'),
  runs: z.array(
    z.object({
      tool: z.object({
        driver: z.object({
          name: z.string(),
          version: z.string().optional(),
          rules: z
            .array(
              z.object({
                id: z.string(),
                defaultConfiguration: z.object({ level: z.string().optional() }).optional(),
              }),
            )
            .default([]),
        }),
      }),
      invocations: z.array(z.object({ executionSuccessful: z.boolean() })).default([]),
      artifacts: z.array(z.unknown()).default([]),
      results: z.array(
        z.object({
          ruleId: z.string().optional(),
          ruleIndex: z.number().int().optional(),
          level: z.string().optional(),
          message: z.object({ text: z.string().default('') }),
          suppressions: z.array(z.unknown()).optional(),
          locations: z
            .array(
              z.object({
                physicalLocation: z
                  .object({
                    artifactLocation: z.object({ uri: z.string().optional() }).optional(),
                    region: z.object({ startLine: z.number().int().positive().optional() }).optional(),
                  })
                  .optional(),
              }),
            )
            .default([]),
        }),
      ),
    }),
  ),
});

export interface SarifResult {
  rule: string;
  level: string;
  message: string;
  file: string | undefined;
  line: number | undefined;
}

/** Results of every run. A suppression in the report is the author's word, and hides nothing. */
export function readSarif(text: string): { document: unknown; artifacts: number; results: SarifResult[] } {
  const document = readJson(text);
  const parsed = Sarif.safeParse(document);
  if (!parsed.success) return refuse(`the report is no SARIF 2.1.0: ${parsed.error.issues[0]?.message ?? ''}`);
  const { runs } = parsed.data;
  if (runs.length === 0) refuse('the SARIF report holds no run');
  if (runs.some(({ invocations }) => invocations.some(({ executionSuccessful }) => !executionSuccessful)))
    refuse('the SARIF report says that the scan did not succeed');
  return {
    document,
    artifacts: runs.reduce((sum, { artifacts }) => sum + artifacts.length, 0),
    results: runs.flatMap(({ tool, results }) =>
      results.map((result) => {
        const { rules } = tool.driver;
        const rule =
          result.ruleIndex === undefined ? rules.find(({ id }) => id === result.ruleId) : rules[result.ruleIndex];
        const place = result.locations[0]?.physicalLocation;
        return {
          rule: result.ruleId ?? rule?.id ?? tool.driver.name,
          // The standard's own default.
          level: result.level ?? rule?.defaultConfiguration?.level ?? 'warning',
          message: result.message.text,
          file: place?.artifactLocation?.uri,
          line: place?.region?.startLine,
        };
      }),
    ),
  };
}
