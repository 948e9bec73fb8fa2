/** Characters that nobody sees, or that show the others in another order: controls, marks of direction, tags, fillers. */
const HIDDEN = /[\p{Cc}\p{Default_Ignorable_Code_Point}\u2028\u2029\uFFF9-\uFFFB]/gu;
/** What lines of text consist of, and the joiners and selectors that scripts and emoji need. */
const NEEDED = new Set(['\t', '\n', '\r', '\u200C', '\u200D', '\uFE0E', '\uFE0F']);

/** Writes what nobody would see as `\u{...}`, so that a text says to a model what it says to a person. */
export const revealHidden = (text: string): string =>
  text.replaceAll(HIDDEN, (char) =>
    NEEDED.has(char) ? char : `\\u{${(char.codePointAt(0) ?? 0).toString(16).toUpperCase()}}`,
  );

/** Everything that opens a tag, or looks as if it did. */
const OPENING = '[<\u02C2\u2039\u2329\u276E\u27E8\u3008\uFE64\uFF1C]';
/** The tags that mark data in a prompt; none of them can begin or end inside a marked text. */
const TAGS = ['answer', 'files', 'finding', 'handoff', 'input', 'item', 'note', 'value'];

/** A text from somebody else, in which none of the tags that mark data begins or ends. */
export function withoutTags(text: string, tag = ''): string {
  const names = [...TAGS, ...(tag === '' ? [] : [tag]), 'data-[0-9a-f]*'].join('|');
  const pattern = new RegExp(String.raw`${OPENING}(?=\s*[/\u2044\u2215\uFF0F]?\s*(?:${names})(?![\w]))`, 'giu');
  return revealHidden(text).replaceAll(pattern, '&lt;');
}

/** A name or two: too little to tell anybody to do anything. */
const PLAIN = /^(?=.{0,60}$)[\p{L}\p{N}_./-]+(?: [\p{L}\p{N}_./-]+){0,2}$/u;

/** A value that somebody gave, where it stands in a sentence of the task: marked, unless it is a mere name. */
export const markedValue = (value: string): string =>
  PLAIN.test(value) ? value : `<value>${withoutTags(value)}</value>`;
