import { fromMarkdown } from 'mdast-util-from-markdown';
import { toString } from 'mdast-util-to-string';
import type { Finding } from '../../../shared/verdict.ts';
import { type Check, finding } from './define-collector.ts';
import type { ProjectText } from './project-files.ts';

type Root = ReturnType<typeof fromMarkdown>;
type RootContent = Root['children'][number];
type Heading = Extract<RootContent, { type: 'heading' }>;
type ListItem = Extract<RootContent, { type: 'list' }>['children'][number];

/** A heading and everything below it, down to the next heading of the same depth or above. */
export interface Section {
  title: string;
  depth: number;
  line: number;
  nodes: RootContent[];
}

/** A list item with the line it stands on. */
export interface Item {
  text: string;
  line: number;
}

/** A parsed Markdown file. */
export interface MarkdownFile {
  path: string;
  root: Root;
  sections: Section[];
}

const PLACEHOLDER =
  /\b(?:TODO|TBD|TBA|FIXME|XXX)\b|\blorem ipsum\b|\bto be (?:defined|determined|decided|written|added)\b|\bcoming soon\b|\[(?:insert|placeholder)[^\]]*\]/;

/** True for text that stands in for text: TODO, TBD, lorem ipsum. A word such as `todo list` in lower case is none. */
export const isPlaceholder = (text: string): boolean =>
  PLACEHOLDER.test(text) || /lorem ipsum|to be (?:defined|determined|decided|written)|coming soon/i.test(text);

const lineOf = (node: RootContent | ListItem): number => node.position?.start.line ?? 1;

/** Heading text without numbering, emphasis or a final colon, for comparison. */
const plain = (title: string): string =>
  title
    .trim()
    .replace(/^[\d.]+\s+/, '')
    .replace(/:$/, '')
    .toLowerCase();

const isHeading = (node: RootContent): node is Heading => node.type === 'heading';

/** Parses a Markdown file into its sections. */
export function parseMarkdown(file: ProjectText): MarkdownFile {
  const root = fromMarkdown(file.text);
  const sections = root.children.flatMap((node, index): Section[] => {
    if (!isHeading(node)) return [];
    const rest = root.children.slice(index + 1);
    const end = rest.findIndex((next) => isHeading(next) && next.depth <= node.depth);
    return [
      {
        title: toString(node).trim(),
        depth: node.depth,
        line: lineOf(node),
        nodes: end === -1 ? rest : rest.slice(0, end),
      },
    ];
  });
  return { path: file.path, root, sections };
}

/** The section with this heading, whatever its depth. */
export const sectionOf = (file: MarkdownFile, title: string): Section | undefined =>
  file.sections.find((section) => plain(section.title) === plain(title));

/** Text of a node; comments in HTML are no text. */
const textOf = (node: RootContent): string => (node.type === 'html' ? '' : toString(node));

/** The text under a heading, headings below it excluded. */
export const sectionText = (section: Section): string =>
  section.nodes
    .filter((node) => node.type !== 'heading')
    .map(textOf)
    .join('\n')
    .trim();

/** True when a section says something: at least three words, and nowhere a placeholder. */
export function hasRealText(section: Section | undefined): boolean {
  if (section === undefined) return false;
  const text = sectionText(section);
  return !isPlaceholder(text) && text.split(/\s+/).filter((word) => /\p{L}|\d/u.test(word)).length >= 3;
}

function itemsIn(nodes: readonly RootContent[]): Item[] {
  return nodes.flatMap((node): Item[] => {
    if (node.type !== 'list') return [];
    return node.children.flatMap((child) => {
      const own = child.children.filter((part) => part.type !== 'list').map(textOf);
      return [{ text: own.join(' ').trim(), line: lineOf(child) }, ...itemsIn(child.children)];
    });
  });
}

/** The list items of a section, or of the whole file, nested ones included. */
export const listItems = (of: Section | MarkdownFile): Item[] => itemsIn('nodes' in of ? of.nodes : of.root.children);

/** List items of a section that say something. */
export const realItems = (file: MarkdownFile, title: string): Item[] => {
  const section = sectionOf(file, title);
  return section === undefined
    ? []
    : listItems(section).filter((item) => item.text !== '' && !isPlaceholder(item.text));
};

/** A block of shell commands. */
export interface ScriptBlock {
  text: string;
  /** Of its first command. */
  line: number;
}

const SHELLS = new Set(['sh', 'bash', 'shell', 'zsh']);
const SESSIONS = new Set(['console', 'shell-session', 'shellsession', 'sh-session', 'terminal']);

/** What was typed on a line of a session; nothing where it was printed. */
const typed = (line: string): string => /^\s*[$>#]\s(.*)$/.exec(line)?.[1] ?? '';

/** Every block of shell commands, those in lists and quotes included; of a session only what was typed. */
export function scriptBlocks(file: MarkdownFile): ScriptBlock[] {
  const visit = (node: Root | RootContent): ScriptBlock[] => {
    if (node.type !== 'code') return 'children' in node ? node.children.flatMap(visit) : [];
    const language = node.lang?.toLowerCase() ?? '';
    const isSession = SESSIONS.has(language) || /^\s*\$ /.test(node.value);
    if (!isSession && language !== '' && !SHELLS.has(language)) return [];
    // The line of the fence; an indented block has none.
    const isFenced =
      node.position !== undefined && node.position.end.line - node.position.start.line >= node.value.split('\n').length;
    const line = lineOf(node) + (isFenced ? 1 : 0);
    const text = isSession ? node.value.split('\n').map(typed).join('\n') : node.value;
    return [{ text, line }];
  };
  return visit(file.root);
}

/** The source of every fenced block in this language. */
export const codeBlocks = (file: MarkdownFile, language: string): { text: string; line: number }[] =>
  file.root.children.flatMap((node) =>
    node.type === 'code' && node.lang?.toLowerCase() === language ? [{ text: node.value, line: lineOf(node) }] : [],
  );

/** One check per required heading: it is there, and real text stands under it. */
export function headingChecks(metric: string, file: MarkdownFile, titles: readonly string[]): Check[] {
  return titles.map((title) => {
    const section = sectionOf(file, title);
    const problem: Finding =
      section === undefined
        ? finding(metric, 'document/missing-heading', `add a heading "${title}" with text under it`, {
            file: file.path,
            line: 1,
          })
        : finding(
            metric,
            'document/empty-heading',
            `write at least a sentence under the heading "${title}"; TODO, TBD and filler text count as nothing`,
            { file: file.path, line: section.line },
          );
    return { ok: hasRealText(section), finding: problem };
  });
}
