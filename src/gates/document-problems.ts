import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { codeBlocks, hasRealText, parseMarkdown, sectionOf } from './collectors/documents/markdown.ts';
import { readRegularFile } from './hostile-files.ts';
import type { ArtifactSpec } from './policy-schema.ts';

const MAX_DOCUMENT_BYTES = 4 * 1024 ** 2;

/** What a document must hold. */
export type DocumentSpec = Pick<ArtifactSpec, 'sections' | 'fenced'>;
/** Reads a document of a folder, and tells what it lacks, with its place. */
export type ReadDocument = (root: string, path: string, spec: DocumentSpec) => Promise<string[]>;

/** What one file lacks of what it must hold, with its place. What parses it may do so elsewhere: it can take minutes. */
export async function documentProblems(
  root: string,
  path: string,
  { min_bytes: least, ...spec }: DocumentSpec & Pick<ArtifactSpec, 'min_bytes'>,
  read: ReadDocument = readDocument,
): Promise<string[]> {
  const { size } = await lstat(join(root, path));
  if (size < least) return [`${path} has ${size} bytes, at least ${least} needed`];
  if (spec.sections.length === 0 && spec.fenced === undefined) return [];
  return read(root, path, spec);
}

/** Reads it in this process. */
export async function readDocument(root: string, path: string, { sections, fenced }: DocumentSpec): Promise<string[]> {
  const bytes = await readRegularFile(join(root, path), MAX_DOCUMENT_BYTES);
  if (!bytes) return [`${path} cannot be read as a document (at most ${MAX_DOCUMENT_BYTES} bytes)`];
  const document = parseMarkdown({ path, text: bytes.toString('utf8') });
  const problems = sections.flatMap((title) => {
    const section = sectionOf(document, title);
    if (!section) return [`${path} has no heading "${title}"`];
    return hasRealText(section) ? [] : [`${path}:${section.line} nothing is written under "${title}"`];
  });
  if (fenced !== undefined && codeBlocks(document, fenced).length === 0) {
    problems.push(`${path} has no block \`\`\`${fenced}`);
  }
  return problems;
}
