import { stacksOf } from '../collectors/code/stack.ts';
import type { CollectContext } from '../collector.ts';
import { readJavaScript } from './javascript-stack.ts';
import { readPython } from './python-stack.ts';
import type { StackReading } from './test-stack.ts';

/** The stacks that the project of a phase is made of; one that cannot be measured says why. */
export async function readStacks(context: CollectContext): Promise<StackReading[]> {
  const { javascript, python } = await stacksOf(context.root);
  return [
    ...(javascript || !python ? [await readJavaScript(context)] : []),
    ...(python ? [await readPython(context)] : []),
  ];
}
