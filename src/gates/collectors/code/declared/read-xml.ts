import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { z } from 'zod';
import { refuse } from './refusal.ts';

export interface XmlElement {
  name: string;
  attributes: Readonly<Record<string, string>>;
  children: readonly XmlElement[];
}

const MAX_DEPTH = 60;
const ATTRIBUTES = ':@';
const Node = z.record(z.string(), z.unknown());
const Attributes = z.record(z.string(), z.coerce.string()).default({});
/** What Cobertura reports begin with. It is never fetched, and holds no definitions of its own. */
const PLAIN_DOCTYPE = /<!DOCTYPE\s+[\w:-]+(?:\s+SYSTEM\s+(?:"[^"<>[\]]*"|'[^'<>[\]]*'))?\s*>/;

/** The elements of a report. Definitions of entities, and everything that is not well-formed, are refused. */
export function readXml(text: string): XmlElement {
  const plain = text.replace(/^\uFEFF/, '').replace(PLAIN_DOCTYPE, '');
  if (/<!\s*(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)/i.test(plain))
    refuse('the XML defines a document type or entities');
  const valid = XMLValidator.validate(plain);
  if (valid !== true) refuse(`the XML is not well-formed: line ${valid.err.line}: ${valid.err.msg}`);
  const parser = new XMLParser({
    preserveOrder: true,
    ignoreAttributes: false,
    attributeNamePrefix: '',
    parseTagValue: false,
    parseAttributeValue: false,
  });
  const parsed = z.array(Node).safeParse(parser.parse(plain));
  const roots = parsed.success ? parsed.data.flatMap((node) => element(node, 0)) : [];
  const [root] = roots.filter(({ name }) => !name.startsWith('?'));
  return root ?? refuse('the XML holds no element');
}

function element(node: Readonly<Record<string, unknown>>, depth: number): XmlElement[] {
  if (depth > MAX_DEPTH) refuse('the XML is nested too deeply');
  return Object.entries(node).flatMap(([name, content]) => {
    const children = z.array(Node).safeParse(content);
    if (name === ATTRIBUTES || name.startsWith('#') || !children.success) return [];
    return [
      {
        name,
        attributes: Attributes.parse(node[ATTRIBUTES]),
        children: children.data.flatMap((child) => element(child, depth + 1)),
      },
    ];
  });
}

export const descendants = (root: XmlElement, name: string): XmlElement[] =>
  root.children.flatMap((child) => [...(child.name === name ? [child] : []), ...descendants(child, name)]);
