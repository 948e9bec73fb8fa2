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
    for (const { value } of handedOut(statement, source)) if (ts.isIdentifier(value)) named.add(value.text);
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
  // A function that has a name of its own is counted where it stands.
  return handedOut(statement, source)
    .filter(({ value }) => isCallable(value))
    .map(({ name, node, value }) => ({ name, offset: node.getStart(source), documented: isDocumented(node, value) }));
}

interface HandedOut {
  name: string;
  node: ts.Node;
  value: ts.Node;
}

/** CommonJS: `module.exports = f`, `exports.name = f`, `a = module.exports = f`, `module.exports = { f, name: g }`. */
function handedOut(statement: ts.Statement, source: ts.SourceFile): HandedOut[] {
  if (!ts.isExpressionStatement(statement)) return [];
  const targets: string[] = [];
  let value: ts.Expression = statement.expression;
  while (ts.isBinaryExpression(value) && value.operatorToken.kind === ts.SyntaxKind.EqualsToken) {
    targets.push(value.left.getText(source));
    value = value.right;
  }
  const target = targets.find((each) => /^(?:module\.)?exports(?:\.[\w$]+)?$/.test(each));
  if (target === undefined) return [];
  const name = target.split('.').at(-1) ?? target;
  if (!ts.isObjectLiteralExpression(value) || name !== 'exports') return [{ name, node: statement, value }];
  return value.properties.flatMap((property): HandedOut[] => {
    if (ts.isShorthandPropertyAssignment(property))
      return [{ name: property.name.text, node: property, value: property.name }];
    if (ts.isPropertyAssignment(property))
      return [{ name: property.name.getText(source), node: property, value: property.initializer }];
    return ts.isMethodDeclaration(property)
      ? [{ name: property.name.getText(source), node: property, value: property }]
      : [];
  });
}

const hasExport = (node: ts.Statement): boolean =>
  ts.canHaveModifiers(node) && (ts.getModifiers(node) ?? []).some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);

const isCallable = (node: ts.Node | undefined): boolean =>
  node !== undefined &&
  (ts.isArrowFunction(node) ||
    ts.isFunctionExpression(node) ||
    ts.isClassExpression(node) ||
    ts.isMethodDeclaration(node));

const isDocumented = (...nodes: readonly ts.Node[]): boolean =>
  nodes
    .flatMap((node) => ts.getJSDocCommentsAndTags(node))
    .some((part) => /[\p{L}\p{N}]/u.test(part.getText().replaceAll(/[/*\s]/g, '')));
