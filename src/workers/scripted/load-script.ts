import { readFile, readdir, realpath, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import { z } from 'zod';
import { FleetError, InvalidInputError, type Problem, errorMessage } from '../../shared/errors.ts';
import { Handoff, Review } from '../../shared/handoff.ts';
import { ToolName } from '../../shared/persona-schema.ts';
import { nearestHint, parseYaml } from '../../shared/yaml-file.ts';
import { Script, type ScriptTool, type ScriptTurn } from './script-schema.ts';

const FINAL_TOOLS: Readonly<Record<string, z.ZodType>> = { hand_off: Handoff, hand_over_review: Review };
const KNOWN_TOOLS = [...ToolName.options, ...Object.keys(FINAL_TOOLS)];

/** A quote that says what to find instead of on which line it stands. */
const FindQuote = z.strictObject({ file: z.string(), find: z.string().min(1), in: z.string() });
const ContentFrom = z.strictObject({ path: z.string().min(1), content_from: z.string().min(1) });

type Path = readonly PropertyKey[];

/** Reads files beside the script, never outside its folder, and gathers what is wrong with their place in the script. */
class Expansion {
  readonly problems: Problem[] = [];
  readonly #folder: string;
  readonly #positionOf: (path: Path) => Omit<Problem, 'message'>;

  constructor(folder: string, positionOf: (path: Path) => Omit<Problem, 'message'>) {
    this.#folder = folder;
    this.#positionOf = positionOf;
  }

  problem(path: Path, message: string): undefined {
    this.problems.push({ ...this.#positionOf(path), message });
    return undefined;
  }

  async #resolve(path: Path, name: string): Promise<string | undefined> {
    try {
      const real = await realpath(join(this.#folder, name));
      const within = relative(await realpath(this.#folder), real);
      if (isAbsolute(name) || within === '..' || within.startsWith(`..${sep}`)) {
        return this.problem(path, `"${name}" leads out of the script's folder`);
      }
      return real;
    } catch {
      return this.problem(path, `"${name}" does not exist in ${this.#folder}`);
    }
  }

  async text(path: Path, name: string): Promise<string | undefined> {
    const file = await this.#resolve(path, name);
    if (file === undefined) return undefined;
    if (!(await stat(file)).isFile()) return this.problem(path, `"${name}" is not a file`);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await readFile(file));
    } catch (err) {
      return this.problem(path, `"${name}" is not UTF-8 text: ${errorMessage(err)}`);
    }
  }

  async tree(path: Path, name: string): Promise<ScriptTool[]> {
    const folder = await this.#resolve(path, name);
    if (folder === undefined) return [];
    if (!(await stat(folder)).isDirectory()) {
      this.problem(path, `"${name}" is not a folder`);
      return [];
    }
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile())
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
      .toSorted();
    if (files.length === 0) this.problem(path, `"${name}" holds no files`);
    const tools: ScriptTool[] = [];
    for (const file of files) {
      const content = await this.text(path, join(name, file));
      if (content !== undefined) tools.push({ tool: 'write_file', input: { path: file, content } });
    }
    return tools;
  }

  /** Replaces every `{file, find, in}` below a value by the quote it stands for. */
  async quotes(path: Path, value: unknown): Promise<unknown> {
    if (Array.isArray(value)) {
      return Promise.all(value.map((item: unknown, index) => this.quotes([...path, index], item)));
    }
    if (typeof value !== 'object' || value === null) return value;
    if (!('find' in value)) {
      const entries = Object.entries(value).map(async ([key, item]) => [key, await this.quotes([...path, key], item)]);
      return Object.fromEntries(await Promise.all(entries));
    }
    const quote = FindQuote.safeParse(value);
    if (!quote.success) return this.problem(path, 'a quote to be found is written {file, find, in}');
    const text = await this.text([...path, 'in'], quote.data.in);
    if (text === undefined) return undefined;
    const lines = text.split('\n');
    const index = lines.findIndex((line) => line.includes(quote.data.find));
    const line = lines[index];
    if (line === undefined) {
      return this.problem([...path, 'find'], `no line of "${quote.data.in}" contains "${quote.data.find}"`);
    }
    return { file: quote.data.file, line: index + 1, text: line.trim() };
  }

  async tool(path: Path, tool: ScriptTool): Promise<ScriptTool> {
    if (!KNOWN_TOOLS.includes(tool.tool)) {
      this.problem([...path, 'tool'], `unknown tool "${tool.tool}"${nearestHint(tool.tool, KNOWN_TOOLS)}`);
      return tool;
    }
    if (tool.tool === 'write_file' && 'content_from' in tool.input) {
      const wanted = ContentFrom.safeParse(tool.input);
      if (!wanted.success) {
        this.problem([...path, 'input'], 'write_file takes either {path, content} or {path, content_from}');
        return tool;
      }
      const content = await this.text([...path, 'input', 'content_from'], wanted.data.content_from);
      return { tool: tool.tool, input: { path: wanted.data.path, content: content ?? '' } };
    }
    const schema = FINAL_TOOLS[tool.tool];
    if (schema === undefined) return tool;
    const found = this.problems.length;
    const input = await this.quotes([...path, 'input'], tool.input);
    const parsed = schema.safeParse(input);
    // A quote that could not be found has been reported; what is left of it is not worth a second message.
    if (!parsed.success && this.problems.length === found) {
      for (const issue of parsed.error.issues) {
        const where = issue.path.map(String).join('.');
        this.problem([...path, 'input', ...issue.path], `${tool.tool}.${where}: ${issue.message}`);
      }
    }
    return { tool: tool.tool, input: z.record(z.string(), z.unknown()).parse(input) };
  }

  async turn(path: Path, turn: ScriptTurn): Promise<ScriptTurn> {
    const { write_tree: folder, ...rest } = turn;
    const written = folder === undefined ? [] : await this.tree([...path, 'write_tree'], folder);
    const tools: ScriptTool[] = [];
    for (const [index, tool] of turn.tools.entries()) tools.push(await this.tool([...path, 'tools', index], tool));
    const expanded = { ...rest, tools: [...written, ...tools] };
    if (expanded.say === undefined && expanded.tools.length === 0 && turn.fault === undefined && folder === undefined) {
      this.problem(path, 'a turn says something, calls a tool or is a fault');
    }
    return expanded;
  }
}

/** Reads a script file and expands its sugar. Every mistake is reported at once, with file, line and column. */
export async function loadScript(file: string): Promise<Script> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (err) {
    throw new FleetError('NOT_FOUND', `the script ${file} cannot be read: ${errorMessage(err)}`, {
      cause: err,
      remedy: 'Give the path of a script.yaml, or use a workflow that ships with one.',
    });
  }
  const { value, positionOf } = parseYaml(Script, { file, text });
  const expansion = new Expansion(dirname(file), positionOf);
  const seen = new Set<string>();
  const jobs: Script['jobs'] = [];
  for (const [index, job] of value.jobs.entries()) {
    const key = [job.phase, job.persona, job.kind, job.round, job.scenario].join(' ');
    if (seen.has(key)) expansion.problem(['jobs', index], `there is already a job for ${key}`);
    seen.add(key);
    const turns: ScriptTurn[] = [];
    for (const [turn, scripted] of job.turns.entries()) {
      turns.push(await expansion.turn(['jobs', index, 'turns', turn], scripted));
    }
    jobs.push({ ...job, turns });
  }
  if (expansion.problems.length > 0) throw new InvalidInputError(file, expansion.problems);
  return { workflow: value.workflow, jobs };
}

/** Every `<workflow>/script.yaml` below a folder. */
export async function loadScripts(folder: string): Promise<Script[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const scripts: Script[] = [];
  for (const entry of entries.filter((one) => one.isDirectory()).toSorted((a, b) => a.name.localeCompare(b.name))) {
    const names = await readdir(join(folder, entry.name));
    if (names.includes('script.yaml')) scripts.push(await loadScript(join(folder, entry.name, 'script.yaml')));
  }
  return scripts;
}
