import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { FleetError, InvalidInputError, type Problem } from '../shared/errors.ts';
import { Name } from '../shared/names.ts';
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
  /** Its sub-workflows, by the phase that names them. */
  subs: Readonly<Record<string, LoadedWorkflow>>;
}

/** However deep they are nested, and however often one is used. */
const MOST_SUB_WORKFLOWS = 500;

interface Places {
  cwd: string;
  packageRoot: string;
}

/** Reads a workflow file, named by its path or, for the shipped ones, by its name, and the sub-workflows it names. */
export async function loadWorkflow(nameOrPath: string, places: Places): Promise<LoadedWorkflow> {
  return readTree(await locateWorkflow(nameOrPath, places), { places, trail: [], count: { read: 0 } });
}

/**
 * Checks the text of a workflow that somebody sent, and reads the sub-workflows it names. Those are shipped ones: a text
 * from elsewhere never reaches the files of this machine.
 */
export function loadWorkflowText(source: { file: string; text: string }, packageRoot: string): Promise<LoadedWorkflow> {
  const reading = { places: { cwd: packageRoot, packageRoot }, trail: [], count: { read: 0 } };
  return withSubs(parseWorkflow(source), { ...reading, folder: null });
}

interface Reading {
  places: Places;
  /** The files that led here, outermost first. */
  trail: readonly string[];
  count: { read: number };
}

async function readTree(path: string, reading: Reading): Promise<LoadedWorkflow> {
  const { places, trail } = reading;
  const loaded = parseWorkflow({ file: shownPath(path, places), text: await readFile(path, 'utf8') });
  return withSubs(loaded, { ...reading, trail: [...trail, path], folder: dirname(path) });
}

/** A workflow with the sub-workflows it names; `folder` is where their paths begin, null when only shipped ones count. */
async function withSubs(loaded: LoadedWorkflow, reading: Reading & { folder: string | null }): Promise<LoadedWorkflow> {
  const { places, trail: here, count, folder } = reading;
  const subs: Record<string, LoadedWorkflow> = {};
  const problems: Problem[] = [];
  for (const [phase, { workflow: named }] of Object.entries(loaded.workflow.phases)) {
    if (named === undefined) continue;
    const refuse = (message: string): void => {
      problems.push({
        ...loaded.positionOf(['phases', phase, 'workflow']),
        message: `phases.${phase}.workflow: ${message}`,
      });
    };
    try {
      const inner = await locateWorkflow(named, { ...places, cwd: folder });
      count.read += 1;
      if (here.includes(inner)) {
        const circle = [...here.slice(here.indexOf(inner)), inner].map((file) => shownPath(file, places));
        refuse(`a workflow cannot be a part of itself: ${circle.join(' -> ')}`);
      } else if (count.read > MOST_SUB_WORKFLOWS) refuse(`more than ${MOST_SUB_WORKFLOWS} sub-workflows`);
      else subs[phase] = await readTree(inner, { places, trail: here, count });
    } catch (err) {
      if (!(err instanceof FleetError) || err instanceof InvalidInputError) throw err;
      refuse(err.message);
    }
  }
  if (problems.length > 0) throw new InvalidInputError(loaded.file, problems);
  return { ...loaded, subs };
}

const shownPath = (path: string, { cwd }: Places): string => {
  const shown = relative(cwd, path);
  return shown.startsWith('..') || isAbsolute(shown) ? path : shown;
};

/** Parses a workflow's text. Throws one error that names every problem of its form, with line and column. */
export function parseWorkflow(source: { file: string; text: string }): LoadedWorkflow {
  const { value, positionOf } = parseYaml(Workflow, source);
  const digest = `sha256:${createHash('sha256').update(source.text).digest('hex')}`;
  return { ...source, workflow: value, digest, positionOf, subs: {} };
}

/** Names of the workflows that ship with the product. */
export async function shippedWorkflows(packageRoot: string): Promise<string[]> {
  const names = await readdir(join(packageRoot, 'workflows'));
  return names
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => name.slice(0, -'.yaml'.length))
    .toSorted();
}

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() === true;

/** The file that a name or path stands for; without `cwd` only shipped ones count. */
export async function locateWorkflow(
  nameOrPath: string,
  { cwd, packageRoot }: { cwd: string | null; packageRoot: string },
): Promise<string> {
  const named = join(packageRoot, 'workflows', `${nameOrPath}.yaml`);
  if (Name.safeParse(nameOrPath).success && isFile(named)) return named;
  const path = cwd === null ? undefined : resolve(cwd, nameOrPath);
  if (nameOrPath !== '' && path !== undefined && isFile(path)) return path;
  const shipped = await shippedWorkflows(packageRoot);
  throw new FleetError(
    'NOT_FOUND',
    `there is no workflow file ${nameOrPath}, and no shipped workflow of that name${nearestHint(nameOrPath, shipped)}`,
    { remedy: `Give the path of a workflow file, or one of: ${shipped.join(', ')}.` },
  );
}
