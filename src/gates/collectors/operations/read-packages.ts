import type { CollectContext } from '../../collector.ts';
import { stacksOf } from '../code/stack.ts';
import { readNpmPackages } from './npm-packages.ts';
import type { PackagesReading } from './packages.ts';
import { readPythonPackages } from './python-packages.ts';

/** Every package of every stack that the project is made of, or why that cannot be known. */
export async function readPackages(context: CollectContext): Promise<PackagesReading> {
  const { javascript, python } = await stacksOf(context.root);
  if (!python) return readNpmPackages(context);
  const ofPython = await readPythonPackages(context);
  if (!javascript || 'notEvaluable' in ofPython) return ofPython;
  const ofNpm = await readNpmPackages(context);
  if ('notEvaluable' in ofNpm) return ofNpm;
  const [one, other] = [ofNpm.project, ofPython.project];
  return {
    project: {
      ...one,
      declared: one.declared + other.declared,
      packages: [...one.packages, ...other.packages],
      needs: [...one.needs, ...other.needs],
      files: [...one.files, ...other.files],
    },
  };
}
