/** Security rules over plain syntax, for what the ready-made rules only find with type information. */

const rule = (message, create) => ({
  meta: { type: 'problem', schema: [], messages: { found: message } },
  create: (context) => create((node) => context.report({ node, messageId: 'found' }), context),
});
const nameOf = (node) => {
  if (!node) return '';
  if (node.type === 'Identifier' || node.type === 'PrivateIdentifier') return node.name;
  if (node.type === 'MemberExpression') return nameOf(node.property);
  if (node.type === 'Literal') return String(node.value);
  return '';
};
/** A string put together from something that is not a constant. */
const isComposed = (node) =>
  Boolean(node) &&
  ((node.type === 'TemplateLiteral' && node.expressions.some((part) => part.type !== 'Literal')) ||
    (node.type === 'BinaryExpression' && node.operator === '+' && !isConstant(node)));
const isConstant = (node) =>
  node.type === 'Literal' ||
  (node.type === 'TemplateLiteral' && node.expressions.every(isConstant)) ||
  (node.type === 'BinaryExpression' && isConstant(node.left) && isConstant(node.right)) ||
  (node.type === 'ConditionalExpression' && isConstant(node.consequent) && isConstant(node.alternate));
const textOf = (node) => {
  if (node.type === 'Literal') return String(node.value);
  if (node.type === 'TemplateLiteral') return node.quasis.map((part) => part.value.cooked ?? '').join(' ? ');
  if (node.type === 'BinaryExpression') return `${textOf(node.left)} ${textOf(node.right)}`;
  return '?';
};
const findProperty = (node, key) =>
  node?.type === 'ObjectExpression'
    ? node.properties.find((property) => property.type === 'Property' && nameOf(property.key) === key)
    : undefined;

const STATEMENT = String.raw`^\s*(?:select\b[\s\S]*\bfrom\b|insert\s+into\b|update\b[\s\S]*\bset\b|delete\s+from\b|drop\s+table\b|alter\s+table\b|replace\s+into\b)`;
const SQL = new RegExp(STATEMENT, 'i');
const SHOUTED_SQL = new RegExp(STATEMENT.replaceAll(/(?<![\\\w])[a-z]{2,}/g, (word) => word.toUpperCase()));
const DATABASE_CALLS = /^(?:query|exec|execute|prepare|run|all|get|each|raw|sql|\$queryRawUnsafe)$/i;
/** SQL in its usual spelling anywhere, or in any spelling where it is handed to a database; plain words are neither. */
const isSql = (node) =>
  SHOUTED_SQL.test(textOf(node)) ||
  (SQL.test(textOf(node)) && node.parent.type === 'CallExpression' && DATABASE_CALLS.test(nameOf(node.parent.callee)));
const SECRET_NAME = /token|secret|passw|session|nonce|api_?key|csrf|otp|salt|credential/i;
const FILE_CALLS = /^(?:readFile|readFileSync|writeFile|writeFileSync|createReadStream|createWriteStream|unlink|unlinkSync|rm|rmSync|open|openSync|appendFile|appendFileSync|readdir|readdirSync|sendFile|download|join|resolve)$/;
const REQUEST = /^(?:req|request|ctx|context)$/;
const REQUEST_DATA = /^(?:url|path|params|query|body|headers|originalUrl)$/;

const readsRequest = (node) => {
  for (let current = node; current; current = current.object ?? current.callee) {
    if (
      current.type === 'MemberExpression' &&
      REQUEST_DATA.test(nameOf(current)) &&
      current.object.type === 'Identifier' &&
      REQUEST.test(current.object.name)
    )
      return true;
    if (current.type === 'TemplateLiteral') return current.expressions.some(readsRequest);
    if (current.type === 'BinaryExpression') return readsRequest(current.left) || readsRequest(current.right);
    if (current.type === 'CallExpression' && current.arguments.some(readsRequest)) return true;
  }
  return false;
};

export const securityRules = {
  'no-shell-with-data': rule('Do not put data into a shell command: use execFile or spawn with an argument list', (report) => ({
    CallExpression(node) {
      const name = nameOf(node.callee);
      const isRegExpExec = node.callee.type === 'MemberExpression' && /^(?:re|regex|pattern|.*re(?:gex)?|.*pattern)$/i.test(nameOf(node.callee.object));
      if (/^exec(?:Sync)?$/.test(name) && !isRegExpExec && isComposed(node.arguments[0]) && !SQL.test(textOf(node.arguments[0])))
        report(node);
      if (/^(?:spawn|spawnSync|execFile|execFileSync)$/.test(name)) {
        const shell = node.arguments.map((argument) => findProperty(argument, 'shell')).find(Boolean);
        if (shell && !(shell.value.type === 'Literal' && shell.value.value === false)) report(node);
      }
    },
  })),
  'no-html-from-data': rule('Do not build HTML from data: use textContent or create elements', (report) => ({
    AssignmentExpression(node) {
      if (/^(?:innerHTML|outerHTML|srcdoc)$/.test(nameOf(node.left)) && node.left.type === 'MemberExpression' && !isConstant(node.right))
        report(node);
    },
    CallExpression(node) {
      const name = nameOf(node.callee);
      if (name === 'insertAdjacentHTML' && node.arguments[1] && !isConstant(node.arguments[1])) report(node);
      const owner = node.callee.type === 'MemberExpression' ? nameOf(node.callee.object) : '';
      if (owner === 'document' && /^writeln?$/.test(name)) report(node);
    },
  })),
  'no-sql-from-data': rule('Do not build SQL from data: use bound parameters', (report) => ({
    TemplateLiteral(node) {
      if (isComposed(node) && node.parent.type !== 'TaggedTemplateExpression' && isSql(node)) report(node);
    },
    BinaryExpression(node) {
      if (node.parent.type !== 'BinaryExpression' && isComposed(node) && isSql(node)) report(node);
    },
  })),
  'no-path-from-request': rule('Do not make a file path from request data: check it against an allow list or a base folder', (report) => ({
    CallExpression(node) {
      const owner = node.callee.type === 'MemberExpression' ? nameOf(node.callee.object) : '';
      if (FILE_CALLS.test(nameOf(node.callee)) && owner !== 'Promise' && node.arguments.some(readsRequest)) report(node);
    },
  })),
  'no-weak-randomness': rule('Do not make secrets with Math.random: use node:crypto', (report) => ({
    CallExpression(node) {
      if (nameOf(node.callee) !== 'random' || nameOf(node.callee.object) !== 'Math') return;
      for (let current = node.parent; current; current = current.parent) {
        const name = nameOf(current.id ?? current.key ?? current.left);
        if (SECRET_NAME.test(name)) return report(node);
        if (/Function|Program/.test(current.type) && current.type !== 'ArrowFunctionExpression') return undefined;
      }
      return undefined;
    },
  })),
  'no-tls-off': rule('Do not switch off the check of TLS certificates', (report) => ({
    Property(node) {
      if (nameOf(node.key) === 'rejectUnauthorized' && node.value.type === 'Literal' && node.value.value === false) report(node);
    },
    AssignmentExpression(node) {
      if (nameOf(node.left) === 'NODE_TLS_REJECT_UNAUTHORIZED') report(node);
    },
  })),
};
