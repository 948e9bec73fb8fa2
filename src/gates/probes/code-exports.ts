import ts from 'typescript';

interface Exported {
  name: string;
  offset: number;
  documented: boolean;
}

/** Every function and class that a module hands out, and whether a doc comment with words stands above it. */
export function exportsOf(source: ts.SourceFile): Exported[] {
  const named = new Set<string>();
  for (const statement of source.statements) {
    if (
      ts.isExportDeclaration(statement) &&
      !statement.moduleSpecifier &&
      statement.exportClause &&
      ts.isNamedExports(statement.exportClause)
    )
      for (const element of statement.exportClause.elements) named.add((element.propertyName ?? element.name).text);
    if (ts.isExportAssignment(statement) && ts.isIdentifier(statement.expression)) named.add(statement.expression.text);
  }
  return source.statements.flatMap((statement) => exportedBy(statement, named, source));
}

function exportedBy(statement: ts.Statement, named: ReadonlySet<string>, source: ts.SourceFile): Exported[] {
  const isExported = (name: string): boolean => hasExport(statement) || named.has(name);
  const entry = (name: string, node: ts.Node): Exported => ({
    name,
    offset: node.getStart(source),
    documented: isDocumented(statement),
  });
  if (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) {
    const name = statement.name?.text ?? 'default';
    return isExported(name) ? [entry(name, statement)] : [];
  }
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations
      .filter(({ name, initializer }) => isExported(name.getText(source)) && isCallable(initializer))
      .map((declaration) => entry(declaration.name.getText(source), declaration));
  if (ts.isExportAssignment(statement)) return isCallable(statement.expression) ? [entry('default', statement)] : [];
  return ts.isExpressionStatement(statement) ? commonJs(statement, source) : [];
}

/** `module.exports = function`, `exports.name = () => ..`. */
function commonJs(statement: ts.ExpressionStatement, source: ts.SourceFile): Exported[] {
  const { expression } = statement;
  if (!ts.isBinaryExpression(expression) || expression.operatorToken.kind !== ts.SyntaxKind.EqualsToken) return [];
  const target = expression.left.getText(source);
  if (!/^(?:module\.)?exports(?:\.|$)/.test(target) || !isCallable(expression.right)) return [];
  return [
    {
      name: target.split('.').at(-1) ?? target,
      offset: statement.getStart(source),
      documented: isDocumented(statement),
    },
  ];
}

const hasExport = (node: ts.Statement): boolean =>
  ts.canHaveModifiers(node) && (ts.getModifiers(node) ?? []).some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);

const isCallable = (node: ts.Expression | undefined): boolean =>
  node !== undefined && (ts.isArrowFunction(node) || ts.isFunctionExpression(node) || ts.isClassExpression(node));

const isDocumented = (node: ts.Node): boolean =>
  ts.getJSDocCommentsAndTags(node).some((part) => /[\p{L}\p{N}]/u.test(part.getText().replaceAll(/[/*\s]/g, '')));
