/** Reads SPDX licence expressions: names, AND, OR, WITH and parentheses. */

/** Does an expression leave a choice of allowed licences only? Undefined when it is no SPDX expression. */
export function isAllowed(expression: string, allowed: readonly string[]): boolean | undefined {
  const known = new Set(allowed.map((name) => name.toLowerCase()));
  const tokens = expression.match(/[()]|[^\s()]+/g) ?? [];
  let at = 0;
  const takeWord = (word: string): boolean => {
    const isNext = tokens[at]?.toUpperCase() === word;
    if (isNext) at += 1;
    return isNext;
  };
  const one = (): boolean | undefined => {
    if (takeWord('(')) {
      const inner = either();
      return takeWord(')') ? inner : undefined;
    }
    const name = tokens[at];
    if (name === undefined || !/^[A-Za-z\d][\w.:+-]*$/.test(name) || /^(?:and|or|with)$/i.test(name)) return undefined;
    at += 1;
    if (!takeWord('WITH')) return known.has(name.toLowerCase());
    const exception = tokens[at];
    at += 1;
    return exception === undefined ? undefined : known.has(`${name} with ${exception}`.toLowerCase());
  };
  const both = (): boolean | undefined => {
    let result = one();
    while (result !== undefined && takeWord('AND')) {
      const next = one();
      result = next === undefined ? undefined : result && next;
    }
    return result;
  };
  const either = (): boolean | undefined => {
    let result = both();
    while (result !== undefined && takeWord('OR')) {
      const next = both();
      result = next === undefined ? undefined : result || next;
    }
    return result;
  };
  const result = either();
  return at === tokens.length ? result : undefined;
}
