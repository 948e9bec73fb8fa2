import { z } from 'zod';
import { resolveInside } from '../../shared/workspace-path.ts';
import { dataBlock } from './data-block.ts';
import { type AgentTool, defineTool, refused } from './tool.ts';

const MATCHES = 200;
const SECONDS = 5;

/**
 * Runs inside the sandbox on a read-only mount: a pattern that takes for ever is ended with its process, and links
 * out of the workspace lead nowhere. Arguments: pattern, start, most matches.
 */
const PROGRAM = `
const fs = require('node:fs'), path = require('node:path');
const [pattern, start, most] = process.argv.slice(1);
let found = 0, files = 0, large = 0, regex;
try { regex = new RegExp(pattern, 'u'); } catch {
  try { regex = new RegExp(pattern); } catch (err) { process.stderr.write(err.message); process.exit(2); }
}
const file = (name) => {
  if (fs.statSync(name).size > 2000000) { large += 1; return; }
  const text = fs.readFileSync(name);
  if (text.subarray(0, 8000).includes(0)) return;
  files += 1;
  for (const [index, line] of text.toString('utf8').split('\\n').entries()) {
    if (found >= Number(most)) return;
    if (!regex.test(line)) continue;
    found += 1;
    process.stdout.write(name + ':' + (index + 1) + ':' + (line.length > 400 ? line.slice(0, 400) + ' [cut]' : line) + '\\n');
  }
};
const walk = (folder) => {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (found >= Number(most)) return;
    if (entry.name === '.git' || entry.name === 'node_modules') continue;
    const name = path.join(folder, entry.name);
    if (entry.isDirectory()) walk(name);
    else if (entry.isFile()) file(name);
  }
};
if (fs.lstatSync(start).isDirectory()) walk(start); else file(start);
process.stdout.write('\\n' + found + ' ' + files + ' ' + large);
`;

const search = defineTool({
  name: 'search',
  effects: 'none',
  description:
    'Searches the text files of the workspace, line by line, for a JavaScript regular expression. ' +
    `Returns file:line:text, at most ${MATCHES} matches. node_modules is not searched.`,
  schema: z.strictObject({
    pattern: z.string().min(1).max(1_000),
    path: z
      .string()
      .min(1)
      .max(1_000)
      .optional()
      .describe('file or folder to search in; the whole workspace if absent'),
  }),
  async run({ pattern, path = '.' }, { root, sandbox, signal }) {
    await resolveInside(root, path);
    const result = await sandbox.run({
      argv: ['node', '-e', PROGRAM, '--', pattern, path, String(MATCHES)],
      mounts: [{ host: root, inside: '/work', writable: false }],
      cwd: '/work',
      limits: { wallMs: SECONDS * 1000, outputBytes: 256 * 1024 },
      signal,
    });
    if (result.endedBy === 'timeout') {
      return refused(`the search took longer than ${SECONDS} s: use a simpler pattern or a smaller folder`);
    }
    if (result.exitCode === 2)
      return refused(`the pattern is not a regular expression: ${result.stderr.slice(0, 500)}`);
    const [, matches = '', found = '', files = '', large = '0'] =
      /^([\s\S]*?)\n?\n(\d+) (\d+) (\d+)$/.exec(result.stdout) ?? [];
    if (result.exitCode !== 0 || found === '') {
      return refused(`the search ended with code ${result.exitCode}: ${result.stderr.slice(0, 500)}`);
    }
    const left = large === '0' ? '' : `\nFiles of more than 2 MB are not searched: ${large} were left out.`;
    if (found === '0') return { text: `no match in ${files} files${left}` };
    const more = Number(found) >= MATCHES ? `\nThere may be more: only ${MATCHES} matches are shown.` : '';
    return { text: `${dataBlock(matches, { search: pattern })}${more}${left}` };
  },
});

export const SEARCH_TOOLS: readonly AgentTool[] = [search];
