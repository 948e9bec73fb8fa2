import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { FleetError } from '../shared/errors.ts';
import { Workflow } from '../shared/workflow-schema.ts';
import { type YamlFile, nearestHint, parseYaml } from '../shared/yaml-file.ts';

export interface LoadedWorkflow {
  /** As shown to people: relative to where they are, when it is below that. */
  file: string;
  text: string;
  workflow: Workflow;
  /** `sha256:` of the file's text. */
  digest: string;
  positionOf: YamlFile<Workflow>['positionOf'];
}

interface Places {
  cwd: string;
  packageRoot: string;
}

/** Reads a workflow file, named by its path or, for the shipped ones, by its name. */
export async function loadWorkflow(nameOrPath: string, places: Places): Promise<LoadedWorkflow> {
  const path = await locate(nameOrPath, places);
  const shown = relative(places.cwd, path);
  const file = shown.startsWith('..') || isAbsolute(shown) ? path : shown;
  return parseWorkflow({ file, text: await readFile(path, 'utf8') });
}

/** Parses a workflow's text. Throws one error that names every problem of its form, with line and column. */
export function parseWorkflow(source: { file: string; text: string }): LoadedWorkflow {
  const { value, positionOf } = parseYaml(Workflow, source);
  const digest = `sha256:${createHash('sha256').update(source.text).digest('hex')}`;
  return { ...source, workflow: value, digest, positionOf };
}

/** Names of the workflows that ship with the product. */
export async function shippedWorkflows(packageRoot: string): Promise<string[]> {
  const names = await readdir(join(packageRoot, 'workflows'));
  return names
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => name.slice(0, -'.yaml'.length))
    .toSorted();
}

async function locate(nameOrPath: string, { cwd, packageRoot }: Places): Promise<string> {
  const shipped = await shippedWorkflows(packageRoot);
  if (shipped.includes(nameOrPath)) return join(packageRoot, 'workflows', `${nameOrPath}.yaml`);
  const path = resolve(cwd, nameOrPath);
  if (nameOrPath !== '' && statSync(path, { throwIfNoEntry: false })?.isFile() === true) return path;
  throw new FleetError(
    'NOT_FOUND',
    `there is no workflow file ${nameOrPath}, and no shipped workflow of that name${nearestHint(nameOrPath, shipped)}`,
    { remedy: `Give the path of a workflow file, or one of: ${shipped.join(', ')}.` },
  );
}
