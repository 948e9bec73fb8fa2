import { diffLines } from 'diff';
import { z } from 'zod';
import { Handoff, Review } from '../../shared/handoff.ts';
import { count, cutTo, oneLine } from '../text.ts';
import { type Page, excerpt, keptLines, markdownLines } from './markdown.ts';
import type { ToolItem } from './talk.ts';

const NAME_COLUMNS = 7;
const DIFF_LINES = 14;
const WRITTEN_LINES = 4;
const OUTPUT_LINES = 10;
const GATE_LINES = 40;
const INPUT_COLUMNS = 200;
const INDENT = '    ';

const str = (value: unknown): string => (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
const linesIn = (text: string): number => (text === '' ? 0 : text.replace(/\n$/, '').split('\n').length);

/** What a tool gave back, without the marks that tell the model that it is data. */
export function dataOf(result: string): { text: string; attributes: Record<string, string> }[] {
  const blocks = [...result.matchAll(/<(data-[0-9a-f]{16})([^>]*)>\n([^]*?)\n<\/\1>/g)];
  return blocks.map(([, , attributes = '', text = '']) => ({
    text,
    attributes: Object.fromEntries(
      [...attributes.matchAll(/ ([\w-]+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]),
    ),
  }));
}

interface Line {
  mark: string;
  name: string;
  about: string;
  /** What came of it, in a few words. */
  outcome?: string;
  body?: string[];
}

/** One call of a tool: a line that says what was done and what came of it, and below it what is worth a look. */
export function toolLines(item: ToolItem, page: Page): string[] {
  const { colors } = page;
  const inner = { ...page, columns: page.columns - INDENT.length };
  const line = describe(item, inner);
  const isBad = item.result?.isError === true || item.isRefused;
  const outcome = item.isRefused
    ? 'refused: not for this persona'
    : item.result === undefined
      ? 'under way'
      : item.result.isError
        ? (line.outcome ?? 'failed')
        : (line.outcome ?? '');
  const head = `${line.mark} ${line.name.padEnd(NAME_COLUMNS)}`;
  const tail = outcome === '' ? '' : `  ${outcome}`;
  const about = cutTo(oneLine(line.about), Math.max(10, page.columns - head.length - tail.length - 1));
  const isFailure = isBad || /^exit [1-9]|^ended/.test(outcome);
  const painted = isFailure ? colors.red(tail) : item.result === undefined ? colors.yellow(tail) : colors.dim(tail);
  const why =
    isBad && (line.body ?? []).length === 0
      ? excerpt(keptLines(item.result?.text ?? '', inner, colors.red), 6, page)
      : [];
  return [
    `${colors.bold(head)} ${about}${painted}`,
    ...[...(line.body ?? []), ...why].map((each) => `${INDENT}${each}`),
  ];
}

function describe(item: ToolItem, page: Page): Line {
  const { name, input, result } = item;
  const isGood = result !== undefined && !result.isError;
  const [data] = dataOf(result?.text ?? '');
  switch (name) {
    case 'write_file':
    case 'edit_file':
    case 'delete_file':
    case 'read_file':
    case 'list_files':
    case 'search':
      return { ...fileLine(item), ...(isGood ? whatCame(item, page) : {}) };
    case 'shell':
      return shellLine(item, page);
    case 'run_gates': {
      const body = result === undefined ? [] : keptLines(data?.text ?? result.text, page);
      return { mark: '◈', name: 'gates', about: 'measured now', body: excerpt(body, GATE_LINES, page) };
    }
    case 'ask_human':
      return { mark: '?', name: 'asks', about: 'a person', body: questionLines(item, page) };
    case 'hand_off':
    case 'hand_over_review': {
      const about = name === 'hand_off' ? 'the work over' : 'the review over';
      return { mark: '⇒', name: 'hands', about, ...(isGood ? { body: handoffLines(input, page) } : {}) };
    }
    default: {
      const shown = excerpt(keptLines(data?.text ?? result?.text ?? '', page), OUTPUT_LINES, page);
      const about = cutTo(oneLine(JSON.stringify(input)), INPUT_COLUMNS);
      return { mark: '⚙', name: oneLine(name), about, body: shown.filter((line) => line !== '') };
    }
  }
}

const FILE_TOOLS: Readonly<Record<string, { mark: string; name: string }>> = {
  write_file: { mark: '✎', name: 'write' },
  edit_file: { mark: '✎', name: 'edit' },
  delete_file: { mark: '✎', name: 'delete' },
  read_file: { mark: '▤', name: 'read' },
  list_files: { mark: '▤', name: 'list' },
  search: { mark: '⌕', name: 'search' },
};

function fileLine({ name, input }: ToolItem): Line {
  const path = str(input['path'] ?? '.');
  const { mark, name: word } = FILE_TOOLS[name] ?? { mark: '⚙', name };
  const where = input['path'] === undefined ? '' : ` in ${path}`;
  return { mark, name: word, about: name === 'search' ? `${str(input['pattern'] ?? input)}${where}` : path };
}

/** What a tool that looks at files or changes them did, where it did not fail. */
function whatCame({ name, input, result }: ToolItem, page: Page): Pick<Line, 'outcome' | 'body'> {
  const [data] = dataOf(result?.text ?? '');
  const found = linesIn(data?.text ?? '');
  const green = page.colors.green;
  switch (name) {
    case 'write_file': {
      const content = str(input['content']).replace(/\n$/, '');
      const added = keptLines(content, { ...page, columns: page.columns - 2 }, green).map((line) =>
        `${green('+')} ${line}`.trimEnd(),
      );
      return { outcome: count(linesIn(content), 'line'), body: excerpt(added, WRITTEN_LINES, page) };
    }
    case 'edit_file':
      return editOf(input, page);
    case 'read_file':
      return some(data?.attributes['lines'] === undefined ? undefined : `lines ${oneLine(data.attributes['lines'])}`);
    case 'list_files':
      return { outcome: `${found} ${found === 1 ? 'entry' : 'entries'}` };
    case 'search':
      return { outcome: count(found, 'line') };
    default:
      return {};
  }
}

const some = (outcome: string | undefined): { outcome?: string } => (outcome === undefined ? {} : { outcome });

/** The lines that an edit took away and put in their place. */
function editOf(input: ToolItem['input'], page: Page): Pick<Line, 'outcome' | 'body'> {
  const { colors } = page;
  const changes = diffLines(str(input['old_text']).replace(/\n?$/, '\n'), str(input['new_text']).replace(/\n?$/, '\n'));
  let [added, removed] = [0, 0];
  const body = changes.flatMap((change) => {
    const [sign, paint] = change.added ? ['+', colors.green] : change.removed ? ['-', colors.red] : [' ', colors.dim];
    const text = change.value.replace(/\n$/, '');
    if (change.added) added += linesIn(change.value);
    if (change.removed) removed += linesIn(change.value);
    return keptLines(text, { ...page, columns: page.columns - 2 }, paint).map((line) =>
      `${paint(sign)} ${line}`.trimEnd(),
    );
  });
  return { outcome: `+${added} -${removed}`, body: excerpt(body, DIFF_LINES, page) };
}

/** A command with how it ended, and the end of what it printed, where results stand. */
function shellLine({ input, result }: ToolItem, page: Page): Line {
  const text = result?.text ?? '';
  // Anything else is an error of the tool, whose words stand below.
  const [, ended, ms] = /^(exit code \d+|ended .*?)(?: after (\d+) ms)?$/m.exec(text) ?? [];
  const took = ms === undefined ? '' : ` · ${(Number(ms) / 1000).toFixed(1)} s`;
  const output = dataOf(text).flatMap(({ text: printed, attributes }) =>
    keptLines(printed.trimEnd(), page, attributes['stream'] === 'stderr' ? page.colors.yellow : page.colors.dim),
  );
  return {
    mark: '$',
    name: 'shell',
    about: str(input['command']),
    ...some(ended === undefined ? undefined : `${ended.replace('exit code', 'exit')}${took}`),
    body: excerpt(output, OUTPUT_LINES, page, 'end'),
  };
}

function questionLines({ input, result }: ToolItem, page: Page): string[] {
  const options = z.array(z.string()).safeParse(input['options']).data ?? [];
  const [answer] = dataOf(result?.text ?? '');
  return [
    ...markdownLines(str(input['question']), page),
    ...options.flatMap((option) => markdownLines(`- ${option}`, page)),
    ...(answer === undefined
      ? [page.colors.yellow(result === undefined ? 'no answer yet' : oneLine(result.text))]
      : [
          page.colors.bold(`↳ ${oneLine(answer.attributes['answer-by'] ?? 'a person')} answers:`),
          ...markdownLines(answer.text, { ...page, columns: page.columns - 2 }).map((line) => `  ${line}`),
        ]),
  ];
}

/** What is handed over: said by the persona, and measured by nobody. */
function handoffLines(input: unknown, page: Page): string[] {
  const list = (title: string, items: readonly string[]): string[] =>
    items.length === 0
      ? []
      : [
          page.colors.bold(title),
          ...items.flatMap((text) => markdownLines(`- ${text.replaceAll(/\s*\n\s*/g, ' ')}`, page)),
        ];
  const review = Review.safeParse(input).data;
  if (review !== undefined) {
    return review.judgements.flatMap(({ metric, items, summary }) => [
      page.colors.bold(`${metric}: ${items.filter(({ met }) => met).length} of ${items.length} met`),
      ...markdownLines(summary, page),
      ...items.flatMap(({ item, met, note, quote }) =>
        markdownLines(
          `- ${met ? '✔' : '✘'} ${oneLine(item)}${note === '' ? '' : `: ${oneLine(note)}`}${quote === undefined ? '' : ` (\`${oneLine(quote.file)}:${quote.line}\`)`}`,
          page,
        ),
      ),
    ]);
  }
  const handoff = Handoff.safeParse(input).data;
  if (handoff === undefined) return keptLines(JSON.stringify(input, null, 2), page);
  return [
    ...markdownLines(handoff.summary, page),
    ...list('Decisions', handoff.decisions),
    ...list(
      'Contracts',
      handoff.contracts.map(
        ({ name, kind, file, line, note }) =>
          `${name} (${kind}): \`${file}${line === undefined ? '' : `:${line}`}\`${note === '' ? '' : `, ${note}`}`,
      ),
    ),
    ...list('Open questions', handoff.open_questions),
    ...list(
      'Files to look at',
      handoff.files.map((file) => `\`${file}\``),
    ),
    ...list('Claims (said, not measured)', handoff.claims),
    ...(handoff.outputs === undefined
      ? []
      : list(
          'Outputs',
          Object.entries(handoff.outputs).map(([name, value]) => `${name}: ${JSON.stringify(value)}`),
        )),
  ];
}
