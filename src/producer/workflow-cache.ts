import { readFile } from 'node:fs/promises';
import { Recent } from '../shared/recent.ts';
import { type LoadedWorkflow, loadWorkflow, locateWorkflow } from './workflow-file.ts';

const REMEMBERED = 50;

/**
 * Workflow files as they were read last. A file is read each time and parsed when it has changed; one that names others
 * is parsed each time, since those may have changed.
 */
export class WorkflowCache {
  readonly #places: { cwd: string; packageRoot: string };
  readonly #loaded = new Recent<LoadedWorkflow>(REMEMBERED);

  constructor(packageRoot: string, cwd = packageRoot) {
    this.#places = { cwd, packageRoot };
  }

  async load(name: string): Promise<LoadedWorkflow> {
    const places = this.#places;
    const known = this.#loaded.get(name);
    if (known !== undefined && known.text === (await readFile(await locateWorkflow(name, places), 'utf8')))
      return known;
    const loaded = await loadWorkflow(name, places);
    if (Object.keys(loaded.subs).length === 0) this.#loaded.set(name, loaded);
    else this.#loaded.delete(name);
    return loaded;
  }
}
