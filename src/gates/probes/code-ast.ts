import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { AstInput, AstReport } from '../collectors/code/probe-reports.ts';
import { answer, projectFolder, readInput } from './code-probe-io.ts';
import { stubOf } from './code-stub-rules.ts';
import { exportsOf } from './code-exports.ts';

/** Reads every file as a syntax tree: functions and stubs, exports and their comments, lines of code. */
const PLACEHOLDER =
  /lorem ipsum|coming soon|under construction|not (?:yet )?implemented|\bTODO\b|\bTBD\b|\bplaceholder\b/i;
const blank = (match: string): string => match.replaceAll(/[^\n]/g, ' ');
const input = readInput(AstInput);
const report: AstReport = {
  version: ts.version,
  files: 0,
  codeLines: 0,
  functions: 0,
  uiTexts: 0,
  stubs: [],
  exports: [],
  unparsable: [],
};

for (const file of input.files) readCode(file);
for (const file of input.markup) if (/\.html?$/.test(file)) readPage(file);
answer(AstReport, report);

function readCode(file: string): void {
  const text = readFileSync(join(projectFolder, file), 'utf8');
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ESNext, true);
  const at = (offset: number): { file: string; line: number; column: number } => {
    const { line, character } = source.getLineAndCharacterOfPosition(offset);
    return { file, line: line + 1, column: character + 1 };
  };
  report.files += 1;
  for (const fault of syntaxFaults(file, text)) report.unparsable.push({ ...at(fault.start), message: fault.message });
  const codeLines = new Set<number>();
  const isUi = file.startsWith('src/frontend/');
  const visit = (node: ts.Node): void => {
    if (ts.isJSDoc(node)) return;
    if (isFunctionWithBody(node)) {
      report.functions += 1;
      const stub = stubOf(node, source);
      if (stub) report.stubs.push({ ...at(node.getStart(source)), ...stub });
    }
    if (isUi) readUiString(node, at);
    const children = node.getChildren(source);
    if (children.length === 0 && node.getWidth(source) > 0) {
      const last = source.getLineAndCharacterOfPosition(node.getEnd()).line;
      for (let line = source.getLineAndCharacterOfPosition(node.getStart(source)).line; line <= last; line += 1)
        codeLines.add(line);
    }
    children.forEach(visit);
  };
  source.statements.forEach(visit);
  report.codeLines += codeLines.size;
  for (const item of exportsOf(source))
    report.exports.push({ ...at(item.offset), name: item.name, documented: item.documented });
}

function syntaxFaults(file: string, text: string): { start: number; message: string }[] {
  const { diagnostics } = ts.transpileModule(text, {
    fileName: file,
    reportDiagnostics: true,
    compilerOptions: {
      target: ts.ScriptTarget.ESNext,
      module: ts.ModuleKind.ESNext,
      allowJs: true,
      jsx: ts.JsxEmit.Preserve,
    },
  });
  return (diagnostics ?? [])
    .filter((diagnostic) => diagnostic.category === ts.DiagnosticCategory.Error)
    .map((diagnostic) => ({
      start: diagnostic.start ?? 0,
      message: ts.flattenDiagnosticMessageText(diagnostic.messageText, ' '),
    }));
}

function isFunctionWithBody(node: ts.Node): node is ts.FunctionLikeDeclaration & { body: ts.ConciseBody } {
  return ts.isFunctionLike(node) && 'body' in node && node.body !== undefined;
}

/** Text that a page's script puts before a person's eyes: string literals with more than one word. */
function readUiString(node: ts.Node, at: (offset: number) => { file: string; line: number; column: number }): void {
  const isText = ts.isStringLiteral(node) || ts.isTemplateLiteralToken(node) || ts.isJsxText(node);
  if (!isText || !/\S\s+\S/.test(node.text)) return;
  report.uiTexts += 1;
  if (PLACEHOLDER.test(node.text.replaceAll(/placeholder\s*=|::placeholder/gi, '')))
    report.stubs.push({
      ...at(node.getStart()),
      rule: 'stub/placeholder-text',
      message: `Placeholder text: "${node.text.trim().slice(0, 60)}"`,
    });
}

/** Text nodes of a page; the `placeholder` attribute is no text. */
function readPage(file: string): void {
  const text = readFileSync(join(projectFolder, file), 'utf8')
    .replaceAll(/<!--[\s\S]*?-->/g, blank)
    .replaceAll(/<(script|style)\b[\s\S]*?<\/\1\s*>/gi, blank);
  report.files += 1;
  let offset = 0;
  for (const part of text.split(/(<[^>]*>)/)) {
    const words = part.trim();
    if (words !== '' && !part.startsWith('<')) {
      report.uiTexts += 1;
      const found = PLACEHOLDER.exec(part);
      const before = text.slice(0, offset + (found?.index ?? 0));
      if (found)
        report.stubs.push({
          file,
          line: before.split('\n').length,
          column: before.length - before.lastIndexOf('\n'),
          rule: 'stub/placeholder-text',
          message: `Placeholder text: "${words.slice(0, 60)}"`,
        });
    }
    offset += part.length;
  }
}
