import { createHash } from 'node:crypto';
import { lstat, readdir, realpath, unlink } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { z } from 'zod';
import { readFileInside, resolveInside, writeFileInside } from '../../shared/workspace-path.ts';
import { dataBlock } from './data-block.ts';
import { type AgentTool, type CallContext, defineTool, forbidden, refused } from './tool.ts';

const MAX_READ_BYTES = 4 * 1024 ** 2;
const MAX_WRITE_BYTES = 1024 ** 2;
const MAX_LINES = 2_000;
const MAX_CHARS = 100_000;
const MAX_ENTRIES = 1_000;

const FilePath = z.string().min(1).max(1_000).describe('path relative to the workspace');
const sha256 = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex');

/** `.git` is the fleet's: what it holds could make git run commands outside the sandbox. */
const isPrivate = (path: string): boolean => path.split(/[\\/]+/).some((part) => part.toLowerCase() === '.git');
const PRIVATE = 'the .git folder belongs to the fleet; your work is committed for you when you hand off';

async function readText(root: string, path: string): Promise<{ text: string } | { reason: string }> {
  if (isPrivate(path) || isPrivate(await nameInside(root, await resolveInside(root, path)))) return { reason: PRIVATE };
  const bytes = await readFileInside(root, path, MAX_READ_BYTES);
  if (bytes.subarray(0, 8_000).includes(0)) return { reason: `${path} is a binary file (${bytes.length} bytes)` };
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { reason: `${path} is not UTF-8 text (${bytes.length} bytes)` };
  }
}

async function write({ root, tree }: CallContext, path: string, content: string) {
  if (isPrivate(path)) return forbidden(PRIVATE);
  const bytes = Buffer.byteLength(content, 'utf8');
  if (bytes > MAX_WRITE_BYTES) {
    return refused(`${path} would be ${bytes} bytes; at most ${MAX_WRITE_BYTES} are written at once`);
  }
  await writeFileInside(root, path, content);
  const name = await nameInside(root, await resolveInside(root, path));
  await tree.wrote(name, bytes);
  const text = [`wrote ${name} (${bytes} bytes)`, ...(tree.fault === undefined ? [] : [tree.fault])].join('\n');
  return { text, isError: tree.fault !== undefined, changed: [{ path: name, sha256: sha256(content) }] };
}

/** The name git knows a file by: without the links that led to it. */
const nameInside = async (root: string, real: string): Promise<string> =>
  relative(await realpath(root), real)
    .split(sep)
    .join('/');

/** A name with line breaks or other control characters is quoted, so that it cannot look like other entries. */
const shownName = (name: string): string => (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(name) ? JSON.stringify(name) : name);

const listFiles = defineTool({
  name: 'list_files',
  effects: 'none',
  description: 'Lists files and folders below a folder of the workspace, with sizes. Links are shown and not followed.',
  schema: z.strictObject({ path: FilePath.optional() }),
  async run({ path = '.' }, { root }) {
    const start = await resolveInside(root, path);
    if (isPrivate(path) || isPrivate(await nameInside(root, start))) return forbidden(PRIVATE);
    const lines: string[] = [];
    const queue = [start];
    for (let folder = queue.shift(); folder !== undefined; folder = queue.shift()) {
      const entries = await readdir(folder, { withFileTypes: true });
      for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
        if (entry.name.toLowerCase() === '.git') continue;
        const at = join(folder, entry.name);
        const name = shownName(relative(start, at).split(sep).join('/'));
        if (lines.length >= MAX_ENTRIES) {
          lines.push(`[more than ${MAX_ENTRIES} entries: list a folder below this one]`);
          return { text: dataBlock(lines.join('\n'), { folder: path }) };
        }
        if (entry.isSymbolicLink()) lines.push(`${name} (link)`);
        else if (!entry.isDirectory() && !entry.isFile()) lines.push(`${name} (not a regular file)`);
        else if (!entry.isDirectory()) lines.push(`${name} ${(await lstat(at)).size} bytes`);
        else if (entry.name === 'node_modules') lines.push(`${name}/ (not listed)`);
        else {
          lines.push(`${name}/`);
          queue.push(at);
        }
      }
    }
    return { text: lines.length === 0 ? `${path} is empty` : dataBlock(lines.join('\n'), { folder: path }) };
  },
});

const readFile = defineTool({
  name: 'read_file',
  effects: 'none',
  description:
    'Reads a text file of the workspace with line numbers. `from` and `to` are the first and last line wanted, counted ' +
    `from 1; at most ${MAX_LINES} lines or ${MAX_CHARS} characters come at once.`,
  schema: z.strictObject({
    path: FilePath,
    from: z.number().int().min(1).optional(),
    to: z.number().int().min(1).optional(),
  }),
  async run({ path, from = 1, to }, { root }) {
    const file = await readText(root, path);
    if ('reason' in file) return refused(file.reason);
    if (file.text === '') return { text: `${path} is empty` };
    const lines = file.text.replace(/\n$/, '').split('\n');
    if (from > lines.length) return refused(`${path} has ${lines.length} lines; line ${from} was asked for`);
    if (to !== undefined && to < from) return refused(`\`to\` (${to}) is before \`from\` (${from})`);
    const shown: string[] = [];
    let characters = 0;
    for (const [index, line] of lines.slice(from - 1, Math.min(to ?? lines.length, from - 1 + MAX_LINES)).entries()) {
      const numbered = `${from + index}\t${line}`;
      characters += numbered.length + 1;
      if (characters > MAX_CHARS) {
        if (shown.length === 0) shown.push(`${numbered.slice(0, MAX_CHARS)} [line ${from} cut here]`);
        break;
      }
      shown.push(numbered);
    }
    const last = from + shown.length - 1;
    const wanted = Math.min(to ?? lines.length, lines.length);
    const block = dataBlock(shown.join('\n'), { file: path, lines: `${from}-${last} of ${lines.length}` });
    return { text: last < wanted ? `${block}\nContinue with from: ${last + 1}.` : block };
  },
});

const writeFile = defineTool({
  name: 'write_file',
  effects: 'workspace',
  description: 'Writes a whole text file into the workspace; folders are made as needed, an existing file is replaced.',
  schema: z.strictObject({ path: FilePath, content: z.string() }),
  run: ({ path, content }, context) => write(context, path, content),
});

const editFile = defineTool({
  name: 'edit_file',
  effects: 'workspace',
  description:
    'Replaces `old_text` by `new_text` in a file. `old_text` must occur exactly once, written exactly as in the file ' +
    '(without line numbers); add lines around it until it is unique.',
  schema: z.strictObject({ path: FilePath, old_text: z.string().min(1), new_text: z.string() }),
  async run({ path, old_text: before, new_text: after }, context) {
    const file = await readText(context.root, path);
    if ('reason' in file) return refused(file.reason);
    const at = file.text.indexOf(before);
    if (at === -1) return refused(`old_text does not occur in ${path}; read the file and copy the text exactly`);
    const count = file.text.split(before).length - 1;
    if (count > 1 || file.text.indexOf(before, at + 1) !== -1) {
      return refused(`old_text occurs ${Math.max(count, 2)} times in ${path}; add lines around it until it is unique`);
    }
    if (before === after) return refused('old_text and new_text are the same');
    return write(context, path, `${file.text.slice(0, at)}${after}${file.text.slice(at + before.length)}`);
  },
});

/** The folder is resolved, the name is not: a link is removed itself, never what it points to. */
async function remove(path: string, { root, tree }: CallContext) {
  if (isPrivate(path)) return forbidden(PRIVATE);
  const parts = path.split(/[\\/]+/).filter((part) => part !== '' && part !== '.');
  const name = parts.at(-1);
  if (name === undefined || name === '..') return refused(`${path} is not a file`);
  const folder = await resolveInside(root, parts.slice(0, -1).join('/') || '.', { purpose: 'write' });
  const target = join(folder, name);
  if ((await lstat(target)).isDirectory()) return refused(`${path} is a folder; delete the files in it`);
  await unlink(target);
  await tree.removed();
  return { text: `deleted ${path}`, changed: [{ path: await nameInside(root, target), sha256: null }] };
}

const deleteFile = defineTool({
  name: 'delete_file',
  effects: 'workspace',
  description: 'Deletes one file of the workspace.',
  schema: z.strictObject({ path: FilePath }),
  run: ({ path }, context) =>
    path.startsWith('/') ? Promise.resolve(forbidden('use a relative path')) : remove(path, context),
});

export const FILE_TOOLS: readonly AgentTool[] = [listFiles, readFile, writeFile, editFile, deleteFile];
