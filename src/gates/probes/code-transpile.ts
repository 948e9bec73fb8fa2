import { transformSync } from 'esbuild';

export const isTypeScript = (path: string): boolean => /\.(?:[cm]?ts|tsx)$/.test(path);

/** The JavaScript that a TypeScript file is run as: the same for the same text, with a map back to it. */
export function transpile(path: string, text: string): { code: string; map: string } {
  const { code, map } = transformSync(text, {
    loader: path.endsWith('x') ? 'tsx' : 'ts',
    format: 'esm',
    target: 'node20',
    sourcefile: path,
    sourcemap: 'external',
    sourcesContent: true,
    legalComments: 'none',
    tsconfigRaw: { compilerOptions: { target: 'es2023', verbatimModuleSyntax: true } },
  });
  return { code, map };
}
