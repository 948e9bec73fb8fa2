/** Reads the simple commands of a shell script, as far as they can be known without running it. */

export interface ShellCommand {
  /** Program and arguments as written, quotes taken off. A word that the shell would compute is left as it is. */
  words: string[];
  /** Files that it is given to read, and those that it writes. */
  inputs: string[];
  outputs: string[];
  /** Counted from 1. */
  line: number;
}

type Token = { kind: 'word' | 'operator'; text: string; line: number };

const OPERATOR = /^(?:&&|\|\||;;|\|&|[;|&()]|\d?(?:>>|>\||>&|<&|<<<|<<-?|<>|>|<)|&>>?)/;
/** Words that come before a command and are none. */
const LEADING = new Set(
  'if then elif else fi while until do done esac ! { } sudo time exec nohup command env builtin'.split(' '),
);
/** Begin a construct whose words are no command. */
const HEADERS = new Set(['for', 'case', 'select', 'function']);

/** True for a word that is known only when the script runs. */
export const isComputed = (word: string): boolean => /[$`*?[\]{}~]/.test(word);

/** Words and operators; comments and the texts of here-documents are left out. */
function tokensOf(script: string): Token[] {
  const tokens: Token[] = [];
  const ends: string[] = [];
  let line = 1;
  let at = 0;
  const text = script.replaceAll('\r\n', '\n');
  while (at < text.length) {
    const rest = text.slice(at);
    if (rest.startsWith('\\\n')) {
      [at, line] = [at + 2, line + 1];
    } else if (rest.startsWith('\n')) {
      tokens.push({ kind: 'operator', text: '\n', line });
      [at, line] = [at + 1, line + 1];
      for (const end of ends.splice(0)) {
        const body = new RegExp(`^(?:[^\\n]*\\n)*?\\t*${end}(?=\\n|$)`).exec(text.slice(at))?.[0] ?? text.slice(at);
        [at, line] = [at + body.length, line + body.split('\n').length - 1];
      }
    } else if (/^[ \t]/.test(rest)) at += 1;
    else if (rest.startsWith('#')) at += /^[^\n]*/.exec(rest)?.[0].length ?? 1;
    else {
      const operator = OPERATOR.exec(rest)?.[0];
      const token = operator ?? wordAt(rest);
      tokens.push({ kind: operator === undefined ? 'word' : 'operator', text: unquoted(token), line });
      const before = tokens.at(-2);
      if (operator === undefined && before !== undefined && /^\d?<<-?$/.test(before.text)) ends.push(unquoted(token));
      [at, line] = [at + token.length, line + token.split('\n').length - 1];
    }
  }
  return tokens;
}

/** One word with its quotes: up to a blank or an operator that stands outside of quotes and brackets. */
function wordAt(rest: string): string {
  const parts =
    /^(?:\\[\s\S]|'[^']*'|"(?:\\[\s\S]|[^"\\])*"|\$\((?:"(?:\\[\s\S]|[^"\\])*"|'[^']*'|[^()"']|\([^()]*\))*\)|\$\{[^}]*\}|`[^`]*`|[^\s;|&<>()\\'"`])+/;
  return parts.exec(rest)?.[0] ?? rest.slice(0, 1);
}

const unquoted = (word: string): string =>
  word.replaceAll(/\\([\s\S])|'([^']*)'|"((?:\\[\s\S]|[^"\\])*)"/g, (_, escaped, single, double) =>
    String(escaped ?? single ?? double ?? ''),
  );

/** Every simple command, in the order of the text. */
export function commandsIn(script: string): ShellCommand[] {
  const commands: ShellCommand[] = [];
  let current: ShellCommand | undefined;
  let redirect: 'inputs' | 'outputs' | 'none' | undefined;
  const finish = (): void => {
    if (current !== undefined && current.words.length + current.inputs.length > 0) commands.push(current);
    [current, redirect] = [undefined, undefined];
  };
  for (const token of tokensOf(script)) {
    const { text, line, kind } = token;
    if (kind === 'operator') {
      if (/^[;|&()\n]/.test(text) && !text.startsWith('&>')) finish();
      else if (/<<|[<>]&/.test(text)) redirect = 'none';
      else redirect = text.includes('>') ? 'outputs' : 'inputs';
      continue;
    }
    current ??= { words: [], inputs: [], outputs: [], line };
    if (redirect !== undefined) {
      if (redirect !== 'none') current[redirect].push(text);
      redirect = undefined;
    } else if (current.words.length > 0 || !(LEADING.has(text) || /^[A-Za-z_]\w*=/.test(text))) {
      current.words.push(text);
    }
  }
  finish();
  return commands.filter(({ words }) => !HEADERS.has(words[0] ?? ''));
}
