import { readFile } from 'node:fs/promises';
import type { LoadHook, ResolveHook } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isTypeScript, transpile } from './code-transpile.ts';

/** `./x.js` means `./x.ts` where only that exists, as the compiler has it. */
export const resolve: ResolveHook = async (specifier, context, nextResolve) => {
  try {
    return await nextResolve(specifier, context);
  } catch (err) {
    if (!/^\.{1,2}\//.test(specifier) || !specifier.endsWith('.js')) throw err;
    return nextResolve(specifier.replace(/\.js$/, '.ts'), context);
  }
};

export const load: LoadHook = async (url, context, nextLoad) => {
  if (!url.startsWith('file:') || !isTypeScript(fileURLToPath(url))) return nextLoad(url, context);
  const path = fileURLToPath(url);
  return { format: 'module', shortCircuit: true, source: transpile(path, await readFile(path, 'utf8')).code };
};
