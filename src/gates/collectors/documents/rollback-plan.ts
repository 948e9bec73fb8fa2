import { posix } from 'node:path';
import { z } from 'zod';
import { parseYaml } from '../../../shared/yaml-file.ts';
import type { CollectContext } from '../../collector.ts';
import { type Check, type Reading, allOf, finding, notEvaluable } from './define-collector.ts';
import {
  type MarkdownFile,
  type ScriptBlock,
  headingChecks,
  parseMarkdown,
  realItems,
  scriptBlocks,
  sectionOf,
} from './markdown.ts';
import { projectHas, readDocument, readProjectText } from './project-files.ts';
import { requiredHeadings } from './requirement-metrics.ts';
import { type ShellCommand, commandsIn, isComputed } from './shell-commands.ts';

const ROLLBACK = 'docs/deployment/rollback-plan.md';
const Manifest = z.looseObject({ scripts: z.record(z.string(), z.string()).default({}) });
/** Programs whose first argument that is no flag is a file to run. */
const RUNNERS = new Set(['node', 'bash', 'sh', 'dash', 'zsh', 'python', 'python3', 'source', '.', 'ruby', 'perl']);
const NPM = new Set(['npm', 'pnpm', 'yarn']);
const LIFECYCLE = new Set(['start', 'stop', 'test', 'restart']);
/** An argument that names a file of the project, to be read by whatever program. */
const FILE = /^(?:\.\/)?[\w.-]+(?:\/[\w.-]+)*\.(?:sql|sh|js|mjs|cjs|ts|py|ya?ml|json|toml|conf|service)$/;

/** What a command names that can be looked for: a file, a script of package.json, a target of the Makefile. */
interface Named {
  kind: 'file' | 'script' | 'target' | 'folder';
  name: string;
}

const file = (name: string): Named => ({ kind: 'file', name });
const isFlag = (word: string): boolean => word.startsWith('-');

function namedBy({ words, inputs }: ShellCommand): Named[] {
  const [program = '', ...rest] = words;
  const args = rest.filter((word) => !isFlag(word));
  const [first] = args;
  const found = inputs.map(file);
  if (program === 'cd' && first !== undefined) return [...found, { kind: 'folder', name: first }];
  if (NPM.has(program)) {
    const [, second] = args;
    const script = first === 'run' || first === 'run-script' ? second : LIFECYCLE.has(first ?? '') ? first : undefined;
    return script === undefined ? found : [...found, { kind: 'script', name: script }];
  }
  if (program === 'make')
    return [...found, ...args.filter((each) => !each.includes('=')).map((name): Named => ({ kind: 'target', name }))];
  if (program.includes('/')) found.push(file(program));
  // What follows `-e` or `-c` is a program of its own, not a file.
  const isInline = rest.some((word) => /^-[a-z]*[ec]$|^-m$|^--eval$/.test(word));
  if (RUNNERS.has(program) && first !== undefined && !isInline) found.push(file(first));
  return [...found, ...args.filter((word) => FILE.test(word)).map(file)];
}

/** What the project holds that a command may name, asked for one thing at a time. */
async function whyMissing(
  context: CollectContext,
  named: Named,
  folder: string,
  made: ReadonlySet<string>,
): Promise<string | undefined> {
  const { kind, name } = named;
  if (kind === 'script') {
    const manifest = await readProjectText(context.root, 'package.json');
    if (manifest === undefined) return `there is no package.json, so no script \`${name}\``;
    const { scripts } = parseYaml(Manifest, { file: manifest.path, text: manifest.text }).value;
    return scripts[name] === undefined ? `package.json has no script \`${name}\`` : undefined;
  }
  if (kind === 'target') {
    const makefile = await readProjectText(context.root, 'Makefile');
    const escaped = name.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
    const isThere =
      makefile !== undefined &&
      new RegExp(String.raw`^(?:[\w./-]+\s+)*${escaped}(?:\s+[\w./-]+)*\s*:`, 'm').test(makefile.text);
    return isThere ? undefined : `the Makefile has no target \`${name}\``;
  }
  // Paths of the machine and of other users are outside of what can be looked at.
  if (name.startsWith('/') || isComputed(name)) return undefined;
  const path = posix.normalize(posix.join(folder, name));
  if (made.has(path)) return undefined;
  if (path.startsWith('..')) return `${name} is outside of the project`;
  return (await projectHas(context.root, path, kind)) ? undefined : `the project has no ${kind} ${path}`;
}

/** One check for every thing that the commands of a block name. */
async function nameChecks(
  context: CollectContext,
  metric: string,
  plan: MarkdownFile,
  block: ScriptBlock,
): Promise<Check[]> {
  const checks: Check[] = [];
  const made = new Set<string>();
  let folder: string | undefined = '';
  for (const command of commandsIn(block.text)) {
    const all = new Map(namedBy(command).map((named) => [`${named.kind} ${named.name}`, named]));
    for (const named of all.values()) {
      // After a `cd` that only the shell can follow, nobody knows where a path begins.
      if (folder === undefined && named.kind !== 'script' && named.kind !== 'target') continue;
      const why = isComputed(named.name) ? undefined : await whyMissing(context, named, folder ?? '', made);
      const place = { file: plan.path, line: block.line + command.line - 1 };
      const message = `\`${command.words.join(' ')}\`: ${why ?? 'what it names is there'}`;
      checks.push({
        ok: why === undefined,
        finding: finding(metric, `document/rollback-${named.kind}`, message, place),
      });
      if (named.kind === 'folder')
        folder = isComputed(named.name) || named.name === '-' ? undefined : posix.join(folder ?? '', named.name);
    }
    for (const output of command.outputs) made.add(posix.normalize(posix.join(folder ?? '', output)));
  }
  return checks;
}

/** What bash itself says of a block that it only parses. */
async function syntaxCheck(
  context: CollectContext,
  metric: string,
  plan: MarkdownFile,
  block: ScriptBlock,
): Promise<Check> {
  const parsed = await context.sandbox.run({
    argv: ['bash', '-n'],
    mounts: [],
    cwd: '/tmp',
    stdin: `${block.text}\n`,
    limits: { wallMs: 10_000, outputBytes: 20_000 },
    signal: context.signal,
  });
  const [, line, said] = /line (\d+): ([^\n]*)/.exec(parsed.stderr) ?? [];
  const message = `bash cannot parse this: ${said ?? parsed.stderr.trim().slice(0, 200)}; write what is to be filled in as a shell variable`;
  const place = { file: plan.path, line: block.line + Math.min(Number(line ?? 1), block.text.split('\n').length) - 1 };
  const ok = parsed.endedBy === 'exit' && parsed.exitCode === 0;
  return { ok, finding: finding(metric, 'document/rollback-syntax', message, place) };
}

/** The rollback plan says when, how and how it is checked, and each of its commands could be run. */
export async function rollbackPlanReady(context: CollectContext, metric: string): Promise<Reading> {
  const text = await readDocument(context, 'rollback_plan', ROLLBACK);
  if (text === undefined) {
    const ask = 'write the headings Triggers, Steps and Verification, with the steps as a list';
    return notEvaluable(metric, 'document/missing', `${ROLLBACK} does not exist: ${ask}`, { file: ROLLBACK });
  }
  const plan = parseMarkdown(text);
  const titles = requiredHeadings(context, 'rollback_plan', ['Triggers', 'Steps', 'Verification']);
  const steps: Check = {
    ok: realItems(plan, 'Steps').length >= 2,
    finding: finding(metric, 'document/rollback-steps', 'list at least two steps under "Steps"', {
      file: plan.path,
      line: sectionOf(plan, 'Steps')?.line ?? 1,
    }),
  };
  const commands: Check[] = [];
  for (const block of scriptBlocks(plan)) {
    const syntax = await syntaxCheck(context, metric, plan, block);
    commands.push(syntax, ...(syntax.ok ? await nameChecks(context, metric, plan, block) : []));
  }
  return allOf([...headingChecks(metric, plan, titles), steps, ...commands], 'parts and commands of the rollback plan');
}
