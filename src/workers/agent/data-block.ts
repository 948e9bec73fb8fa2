import { createHash } from 'node:crypto';
import { revealHidden, withoutTags } from '../../shared/marked-text.ts';

/** Attribute values hold no quotes, angle brackets or line breaks, so that they cannot end the tag they stand in. */
const attribute = (value: string): string =>
  revealHidden(value).replaceAll(/[&"<>\r\n\t]/g, (char) => `&#${char.codePointAt(0)};`);

const attributesOf = (attributes: Readonly<Record<string, string | number>>): string =>
  Object.entries(attributes)
    .map(([name, value]) => ` ${name}="${attribute(String(value))}"`)
    .join('');

/**
 * Marks text from a file or a command as data. The text stays as it is, except that characters nobody sees are written
 * out, and said to be; the tag's name holds a hash of the text, so nothing inside it can be the closing tag.
 */
export function dataBlock(text: string, attributes: Readonly<Record<string, string | number>>): string {
  const tag = `data-${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
  const shown = revealHidden(text);
  const hidden = shown === text ? {} : { hidden: HIDDEN_NOTE };
  return `<${tag}${attributesOf({ ...attributes, ...hidden })}>\n${shown}\n</${tag}>`;
}

const HIDDEN_NOTE = 'holds invisible characters, written here as \\u{...}';

/** Marks text from somebody else as data under a name that is known beforehand; no tag that marks data ends in it. */
export function taggedBlock(
  tag: string,
  text: string,
  attributes: Readonly<Record<string, string | number>> = {},
): string {
  return `<${tag}${attributesOf(attributes)}>\n${withoutTags(text, tag)}\n</${tag}>`;
}

/** Keeps the beginning and the end of a long text, and says how much is left out. */
export function capText(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const half = Math.floor(limit / 2);
  const left = text.length - 2 * half;
  return `${text.slice(0, half)}\n[... ${left} characters left out ...]\n${text.slice(-half)}`;
}
