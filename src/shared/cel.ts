import { type ASTNode, ParseError, TypeError as CelTypeError } from '@marcbachmann/cel-js';
import { errorMessage } from './errors.ts';

/** The nodes right below a node. */
export function childrenOf(node: ASTNode): readonly ASTNode[] {
  switch (node.op) {
    case 'value':
    case 'id':
      return [];
    case '!_':
    case '-_':
      return [node.args];
    case '.':
    case '.?':
      return [node.args[0]];
    case 'call':
      return node.args[1];
    case 'rcall':
      return [node.args[1], ...node.args[2]];
    case 'map':
      return node.args.flat();
    case 'list':
    case '&&':
    case '||':
    case '?:':
    case '[]':
    case '[?]':
    case 'in':
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
    case '==':
    case '!=':
    case '<':
    case '<=':
    case '>':
    case '>=':
      return node.args;
  }
}

/** What is wrong with a text in CEL, in the words of people who write it; `subject` is what they call the text. */
export function celReason(error: unknown, subject: string): string {
  if (error instanceof ParseError || error instanceof CelTypeError) {
    if (error.code === 'unexpected_token' && error.summary.endsWith('EOF')) return `${subject} ends too early`;
    return error.summary.replaceAll('double', 'number');
  }
  return errorMessage(error);
}
