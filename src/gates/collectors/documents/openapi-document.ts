import { z } from 'zod';
import { InvalidInputError, type SourcePosition } from '../../../shared/errors.ts';
import { type YamlFile, parseYaml } from '../../../shared/yaml-file.ts';
import type { CollectContext } from '../../collector.ts';
import { readDocument } from './project-files.ts';

export const OPENAPI_PATH = 'docs/design/openapi.yaml';
const METHODS = ['get', 'put', 'post', 'delete', 'patch', 'head', 'options', 'trace'];
const MAX_REFERENCES = 20;

const Json = z.record(z.string(), z.unknown());
type Json = z.infer<typeof Json>;
const OpenApi = z.looseObject({
  openapi: z.string().regex(/^3\./, 'use OpenAPI 3.1'),
  paths: z.record(z.string(), Json),
});

/** An OpenAPI document with the positions of its parts. */
export interface OpenApiFile {
  path: string;
  source: string;
  value: Json;
  paths: Record<string, Json>;
  positionOf: YamlFile<unknown>['positionOf'];
}

/** One method of one path. */
export interface Operation {
  path: string;
  method: string;
  operation: Json;
  at: SourcePosition;
}

/** Anything that is no object reads as an empty one. */
export const objectOf = (value: unknown): Json => {
  const parsed = Json.safeParse(value);
  return parsed.success ? parsed.data : {};
};

/** Every `$ref` of a document, with the path it stands at. */
function referencesIn(
  value: unknown,
  path: readonly PropertyKey[] = [],
): { ref: string; path: readonly PropertyKey[] }[] {
  if (Array.isArray(value)) return value.flatMap((item, index) => referencesIn(item, [...path, index]));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    key === '$ref' && typeof inner === 'string'
      ? [{ ref: inner, path: [...path, key] }]
      : referencesIn(inner, [...path, key]),
  );
}

/**
 * Reads the API document, or returns undefined when nobody wrote one.
 * References to other files or hosts are refused: they would make the fleet read what the author chose.
 */
export async function readOpenApi(context: CollectContext): Promise<OpenApiFile | undefined> {
  const text = await readDocument(context, 'api_specification', OPENAPI_PATH);
  if (text === undefined) return undefined;
  const { value, positionOf } = parseYaml(OpenApi, { file: text.path, text: text.text });
  const foreign = referencesIn(value).filter(({ ref }) => !ref.startsWith('#/'));
  if (foreign.length > 0) {
    throw new InvalidInputError(
      text.path,
      foreign.map(({ ref, path }) => ({
        ...positionOf(path),
        message: `"${ref}" points outside this file; put the schema under components and refer to it as #/components/...`,
      })),
    );
  }
  return { path: text.path, source: text.text, value, paths: value.paths, positionOf };
}

/** Follows a local reference, and references it leads to. */
export function resolve(file: { value: Json }, node: unknown): Json {
  let current = objectOf(node);
  for (let step = 0; step < MAX_REFERENCES; step += 1) {
    const ref = current['$ref'];
    if (typeof ref !== 'string') return current;
    const keys = ref
      .slice(2)
      .split('/')
      .map((key) => decodeURIComponent(key).replaceAll('~1', '/').replaceAll('~0', '~'));
    current = keys.reduce<Json>((inner, key) => objectOf(inner[key]), file.value);
  }
  return {};
}

/** Every operation, in the order of the document. */
export const operationsOf = (file: OpenApiFile): Operation[] =>
  Object.entries(file.paths).flatMap(([path, item]) =>
    Object.keys(item)
      .filter((method) => METHODS.includes(method))
      .map((method) => ({
        path,
        method,
        operation: objectOf(item[method]),
        at: file.positionOf(['paths', path, method], 'key'),
      })),
  );
