import type { CollectContext } from '../../collector.ts';
import { type Item, type MarkdownFile, listItems, parseMarkdown, sectionOf } from './markdown.ts';
import { readDocument } from './project-files.ts';

export const PRD_PATH = 'docs/requirements/prd.md';
export const STORIES_PATH = 'docs/requirements/user-stories.md';

/** A requirement of the PRD: a list item that begins with an id. */
interface Requirement extends Item {
  id: string;
}

/** A user story: a heading with an id, the requirements it names, and its text. */
export interface Story {
  id: string;
  title: string;
  line: number;
  requirements: string[];
  text: string;
}

/** The PRD with its requirements. */
export interface Prd {
  file: MarkdownFile;
  requirements: Requirement[];
  /** Items under the two requirement headings that carry no id. */
  unnamed: Item[];
}

const REQUIREMENT_ID = /^((?:FR|NFR)-\d+)\b[\s:.–-]*/;

/** Every id such as `FR-1` or `US-2` that a text names, once each. */
export const idsIn = (text: string, prefix: 'FR' | 'NFR' | 'US' | 'TC'): string[] => [
  ...new Set(text.match(new RegExp(String.raw`\b${prefix}-\d+\b`, 'g'))),
];

/** Reads the PRD, or returns undefined when nobody wrote one. */
export async function readPrd(context: CollectContext): Promise<Prd | undefined> {
  const text = await readDocument(context, 'prd_document', PRD_PATH);
  if (text === undefined) return undefined;
  const file = parseMarkdown(text);
  const requirements = listItems(file).flatMap((item): Requirement[] => {
    const id = REQUIREMENT_ID.exec(item.text)?.[1];
    return id === undefined ? [] : [{ id, text: item.text.replace(REQUIREMENT_ID, ''), line: item.line }];
  });
  const unnamed = ['Functional requirements', 'Non-functional requirements'].flatMap((title) => {
    const section = sectionOf(file, title);
    const topLevel = section?.nodes.flatMap((node) => (node.type === 'list' ? node.children : [])) ?? [];
    const lines = new Set(topLevel.map((node) => node.position?.start.line));
    return section === undefined
      ? []
      : listItems(section).filter((item) => lines.has(item.line) && !REQUIREMENT_ID.test(item.text));
  });
  return { file, requirements, unnamed };
}

/** The functional requirements' ids, once each. */
export const functionalIds = (prd: Prd): string[] => [
  ...new Set(prd.requirements.filter((item) => item.id.startsWith('FR-')).map((item) => item.id)),
];

/** Reads the user stories, or returns undefined when nobody wrote them. */
export async function readStories(
  context: CollectContext,
): Promise<{ file: MarkdownFile; source: string; stories: Story[] } | undefined> {
  const text = await readDocument(context, 'user_stories', STORIES_PATH);
  if (text === undefined) return undefined;
  const file = parseMarkdown(text);
  const lines = text.text.split('\n');
  const headings = file.sections.filter((section) => /^US-\d+\b/.test(section.title));
  const stories = headings.map((section): Story => {
    const following = file.sections.find((next) => next.line > section.line && next.depth <= section.depth);
    const body = lines.slice(section.line, following === undefined ? undefined : following.line - 1).join('\n');
    return {
      id: /^US-\d+/.exec(section.title)?.[0] ?? section.title,
      title: section.title,
      line: section.line,
      requirements: [...new Set([...idsIn(section.title, 'FR'), ...idsIn(body, 'FR')])],
      text: body.trim(),
    };
  });
  return { file, source: text.text, stories };
}
