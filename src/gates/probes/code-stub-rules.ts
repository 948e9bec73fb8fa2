import ts from 'typescript';

type WithBody = ts.FunctionLikeDeclaration & { body: ts.ConciseBody };

const NOT_IMPLEMENTED = /not[\s_-]*(?:yet[\s_-]*)?implemented|unimplemented|\bTODO\b|implement me/i;
const TODO = /\b(?:TODO|FIXME|TBD|XXX)\b|\bstub\b|placeholder|not (?:yet )?implemented|implement (?:me|this|later)/i;

/** The whole of a text that stands where an answer should be. */
const PLACEHOLDER =
  /^\W*(?:lorem ipsum\b.*|coming soon|under construction|placeholder(?: text)?|(?:this is )?not (?:yet )?implemented(?: yet)?|to be (?:done|defined|implemented)|(?:dummy|sample) (?:text|data)|tbd)\W*$/is;
const isPlaceholder = (text: string): boolean => PLACEHOLDER.test(text) || /^\W*(?:TODO|FIXME|XXX)\b/.test(text);

/** Why a function is a stub, or nothing. The first reason that holds counts, once for each function. */
export function stubOf(node: WithBody, source: ts.SourceFile): { rule: string; message: string } | undefined {
  const name = nameOf(node, source);
  if (isEmpty(node) && !isDeliberateNoop(node))
    return { rule: 'stub/empty-body', message: `${name} has an empty body: implement it` };
  const own = ownNodes(node.body);
  if (own.some((part) => ts.isThrowStatement(part) && NOT_IMPLEMENTED.test(part.getText(source))))
    return { rule: 'stub/not-implemented', message: `${name} throws that it is not implemented` };
  if (own.some((part) => isRoute501(part, source)))
    return { rule: 'stub/route-501', message: `${name} answers 501 Not Implemented` };
  if (isTrivial(node.body) && notesOf(node, source).some((note) => TODO.test(note)))
    return { rule: 'stub/todo-only', message: `${name} does nothing but hold a note that it is still to be done` };
  const answers = own.filter((part) => ts.isStringLiteralLike(part));
  if (isAnswer(node.body) && answers.some((part) => isPlaceholder(part.text)))
    return { rule: 'stub/placeholder-text', message: `${name} answers with placeholder text` };
  return undefined;
}

/** A body that only gives back, prints or sends constants. */
function isAnswer(body: ts.ConciseBody): boolean {
  if (isTrivial(body)) return true;
  if (!ts.isBlock(body)) return isSent(body);
  const [only, ...more] = body.statements;
  if (only === undefined || more.some((statement) => !ts.isReturnStatement(statement))) return false;
  if (ts.isReturnStatement(only)) return only.expression !== undefined && isSent(only.expression);
  return ts.isExpressionStatement(only) && isSent(only.expression);
}

const isSent = (node: ts.Expression): boolean => ts.isCallExpression(node) && node.arguments.every(isConstant);

const isEmpty = (node: WithBody): boolean => ts.isBlock(node.body) && node.body.statements.length === 0;

/** `fallback = () => {}`, `given ?? (() => {})`, a promise's swallowed error: no work is promised there. */
function isDeliberateNoop(node: WithBody): boolean {
  let parent: ts.Node = node.parent;
  while (ts.isParenthesizedExpression(parent)) parent = parent.parent;
  if (ts.isConstructorDeclaration(node))
    return node.parameters.some((parameter) => ts.isParameterPropertyDeclaration(parameter, node));
  if (ts.isParameter(parent) || ts.isBindingElement(parent)) return true;
  if (ts.isBinaryExpression(parent))
    return [ts.SyntaxKind.QuestionQuestionToken, ts.SyntaxKind.BarBarToken].includes(parent.operatorToken.kind);
  return (
    ts.isCallExpression(parent) &&
    ts.isPropertyAccessExpression(parent.expression) &&
    ['catch', 'then', 'finally'].includes(parent.expression.name.text)
  );
}

/** The nodes of a body that belong to no function inside it. */
function ownNodes(body: ts.Node): ts.Node[] {
  const nodes: ts.Node[] = [body];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node)) return;
    nodes.push(node);
    ts.forEachChild(node, visit);
  };
  ts.forEachChild(body, visit);
  return nodes;
}

const STATUS_CALLS = /^(?:status|sendStatus|writeHead|send|sendJson|json|reply|respond|code)$/;
const lastName = (node: ts.Node, source: ts.SourceFile): string => node.getText(source).split('.').at(-1) ?? '';

/** `res.status(501)`, `res.writeHead(501)`, `send(res, 501, ..)`, `res.statusCode = 501`, `{ status: 501 }`. */
function isRoute501(node: ts.Node, source: ts.SourceFile): boolean {
  if (!ts.isNumericLiteral(node) || node.text !== '501') return false;
  const { parent } = node;
  if (ts.isCallExpression(parent))
    return STATUS_CALLS.test(lastName(parent.expression, source)) || parent.arguments.length > 1;
  if (ts.isPropertyAssignment(parent)) return /status|code/i.test(parent.name.getText(source));
  if (ts.isBinaryExpression(parent))
    return parent.operatorToken.kind === ts.SyntaxKind.EqualsToken && /status/i.test(lastName(parent.left, source));
  return ts.isNewExpression(parent) || ts.isReturnStatement(parent);
}

/** No statement at all, or one that only gives back or prints a constant. */
function isTrivial(body: ts.ConciseBody): boolean {
  if (!ts.isBlock(body)) return isConstant(body);
  if (body.statements.length > 2) return false;
  return body.statements.every(
    (statement) =>
      (ts.isReturnStatement(statement) && (statement.expression === undefined || isConstant(statement.expression))) ||
      (ts.isExpressionStatement(statement) &&
        ts.isCallExpression(statement.expression) &&
        /^console\.|^(?:alert|log)$/.test(statement.expression.expression.getText())),
  );
}

function isConstant(node: ts.Expression): boolean {
  if (ts.isParenthesizedExpression(node) || ts.isAsExpression(node)) return isConstant(node.expression);
  if (ts.isArrayLiteralExpression(node)) return node.elements.every(isConstant);
  if (ts.isObjectLiteralExpression(node))
    return node.properties.every((property) => ts.isPropertyAssignment(property) && isConstant(property.initializer));
  if (ts.isCallExpression(node))
    return /^Promise\.resolve$/.test(node.expression.getText()) && node.arguments.every(isConstant);
  return (
    ts.isLiteralExpression(node) ||
    [ts.SyntaxKind.TrueKeyword, ts.SyntaxKind.FalseKeyword, ts.SyntaxKind.NullKeyword].includes(node.kind) ||
    (ts.isIdentifier(node) && node.text === 'undefined') ||
    (ts.isPrefixUnaryExpression(node) && isConstant(node.operand))
  );
}

/** The comments inside a function and right above it, and what it prints. */
function notesOf(node: WithBody, source: ts.SourceFile): string[] {
  const holder = holderOf(node);
  const above = ts.getLeadingCommentRanges(source.text, holder.getFullStart())?.at(-1);
  const text = source.text.slice(above?.pos ?? holder.getStart(source), node.getEnd());
  const scanner = ts.createScanner(ts.ScriptTarget.ESNext, false, ts.LanguageVariant.Standard, text);
  const notes: string[] = [];
  for (let token = scanner.scan(); token !== ts.SyntaxKind.EndOfFileToken; token = scanner.scan())
    if (token === ts.SyntaxKind.SingleLineCommentTrivia || token === ts.SyntaxKind.MultiLineCommentTrivia)
      notes.push(scanner.getTokenText());
  const printed = ownNodes(node.body).filter(
    (part) => ts.isStringLiteralLike(part) && ts.isCallExpression(part.parent),
  );
  return [...notes, ...printed.map((part) => part.getText(source))];
}

/** What a comment about the function stands above: its declaration, where it is given a name. */
function holderOf(node: WithBody): ts.Node {
  const { parent } = node;
  if (ts.isPropertyAssignment(parent) || ts.isExportAssignment(parent)) return parent;
  const list = ts.isVariableDeclaration(parent) ? parent.parent : undefined;
  return list && ts.isVariableDeclarationList(list) && list.declarations.length === 1 ? list.parent : node;
}

function nameOf(node: WithBody, source: ts.SourceFile): string {
  if (node.name) return node.name.getText(source);
  if (ts.isConstructorDeclaration(node)) return 'The constructor';
  const { parent } = node;
  if ((ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent)) && parent.initializer === node)
    return parent.name.getText(source);
  return 'A function';
}
