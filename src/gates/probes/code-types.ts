import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import ts from 'typescript';
import { z } from 'zod';
import { TypesInput, TypesReport } from '../collectors/code/probe-reports.ts';
import { answer, configFolder, modulesFolder, projectFolder, readInput } from './code-probe-io.ts';

/** Type checks each group of files with the fleet's settings; the project's own tsconfig is never read. */
const input = readInput(TypesInput);
const settings = z
  .object({ compilerOptions: z.record(z.string(), z.unknown()) })
  .parse(JSON.parse(readFileSync(join(configFolder, 'lint', 'tsconfig.measure.json'), 'utf8')));
const problems: TypesReport['problems'] = [];
let filesChecked = 0;

for (const group of input.groups) {
  const { options } = ts.convertCompilerOptionsFromJson(settings.compilerOptions, configFolder);
  const isTyped = group.files.some((file) => /\.[cm]?tsx?$/.test(file));
  const program = ts.createProgram(
    group.files.map((file) => join(projectFolder, file)),
    {
      ...options,
      typeRoots: [join(modulesFolder, '@types')],
      types: ['node'],
      lib: group.browser ? ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'] : ['lib.es2023.d.ts'],
      // Plain JavaScript cannot say that something is never null; TypeScript can, so there it is asked for.
      strictNullChecks: isTyped,
    },
  );
  filesChecked += program
    .getSourceFiles()
    .filter((file) => group.files.includes(relative(projectFolder, file.fileName))).length;
  const diagnostics = [
    ...program.getOptionsDiagnostics(),
    ...program.getGlobalDiagnostics(),
    ...program.getSyntacticDiagnostics(),
    ...program.getSemanticDiagnostics(),
  ];
  for (const diagnostic of diagnostics) {
    if (diagnostic.category !== ts.DiagnosticCategory.Error) continue;
    const at =
      diagnostic.file && diagnostic.start !== undefined
        ? diagnostic.file.getLineAndCharacterOfPosition(diagnostic.start)
        : undefined;
    problems.push({
      ...(diagnostic.file ? { file: relative(projectFolder, diagnostic.file.fileName) } : {}),
      ...(at ? { line: at.line + 1, column: at.character + 1 } : {}),
      code: diagnostic.code,
      message: ts.flattenDiagnosticMessageText(diagnostic.messageText, ' '),
    });
  }
}
answer(TypesReport, { version: ts.version, filesChecked, problems });
