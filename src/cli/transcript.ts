import { z } from 'zod';
import { visible } from '../gates/reports/phase-report.ts';
import type { Terminal } from './terminal.ts';
import { count, cutTo, oneLine } from './text.ts';

const Content = z.union([z.string(), z.array(z.looseObject({ type: z.string() }))]);
const TextBlock = z.looseObject({ type: z.literal('text'), text: z.string() });
const ToolUse = z.looseObject({ type: z.literal('tool_use'), name: z.string(), input: z.unknown() });
const ToolResult = z.looseObject({
  type: z.literal('tool_result'),
  is_error: z.boolean().optional(),
  content: Content.optional(),
});

/** What a worker keeps of a persona's conversation. */
export const Transcript = z.looseObject({
  schemaVersion: z.literal(1),
  messages: z.array(z.looseObject({ role: z.enum(['user', 'assistant']), content: Content })),
  calls: z.array(
    z.looseObject({
      outcome: z.enum(['answered', 'failed']),
      error: z.string().nullable(),
      host: z.string(),
      modelAnswered: z.string().nullable(),
      simulated: z.boolean(),
    }),
  ),
});
export type Transcript = z.infer<typeof Transcript>;

interface Style {
  colors: Terminal['colors'];
  /** Show every text in full. */
  isFull: boolean;
}

const LINES = 12;
const LINE_COLUMNS = 160;
const INPUT_COLUMNS = 120;

/** A conversation, for reading. Whatever a model or a tool wrote is shown with its control characters made visible. */
export function transcriptLines({ messages, calls }: Transcript, style: Style): string[] {
  const { colors } = style;
  const models = [...new Set(calls.flatMap((call) => call.modelAnswered ?? []))].map(oneLine).join(', ');
  const hosts = [...new Set(calls.map((call) => call.host))].map(oneLine).join(', ');
  const simulated = calls.some((call) => call.simulated) ? ', simulated' : '';
  const failed = calls.filter((call) => call.outcome === 'failed');
  let turn = 0;
  return [
    colors.dim(`${count(calls.length, 'call')} to ${models || 'no model'} at ${hosts || 'no host'}${simulated}`),
    ...failed.map((call) => colors.red(`  a call failed: ${oneLine(call.error ?? 'no reason recorded')}`)),
    ...messages.flatMap(({ role, content }) => {
      if (role === 'assistant') turn += 1;
      const speaker = role === 'assistant' ? colors.cyan(`turn ${turn}`) : colors.dim('told');
      return blocksOf(content).flatMap((block) => blockLines(block, speaker, style));
    }),
  ];
}

const blocksOf = (content: z.infer<typeof Content>): z.infer<typeof TextBlock>[] | { type: string }[] =>
  typeof content === 'string' ? [{ type: 'text', text: content }] : content;

function blockLines(block: { type: string }, speaker: string, style: Style): string[] {
  const { colors } = style;
  const text = TextBlock.safeParse(block);
  if (text.success) return [speaker, ...body(text.data.text, style)];
  const use = ToolUse.safeParse(block);
  if (use.success)
    return [`${speaker} ${colors.bold(`→ ${oneLine(use.data.name)}`)}`, ...inputLines(use.data.input, style)];
  const result = ToolResult.safeParse(block);
  if (!result.success) return [`${speaker} ${colors.dim(`[${oneLine(block.type)}]`)}`];
  const head = result.data.is_error === true ? colors.red('  ← refused or failed') : colors.dim('  ←');
  return [head, ...blocksOf(result.data.content ?? '').flatMap((part) => body(textOf(part), style))];
}

const textOf = (block: { type: string }): string => TextBlock.safeParse(block).data?.text ?? `[${oneLine(block.type)}]`;

/** A field of a tool's input a line; long ones, such as the content of a file, by their beginning. */
function inputLines(input: unknown, style: Style): string[] {
  const fields = z.record(z.string(), z.unknown()).safeParse(input);
  return Object.entries(fields.success ? fields.data : { input }).flatMap(([name, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    if (style.isFull && text.includes('\n')) return [`    ${oneLine(name)}:`, ...body(text, style)];
    const more = style.isFull ? text : cutTo(oneLine(text), INPUT_COLUMNS);
    const size = text.includes('\n') ? style.colors.dim(` (${count(text.split('\n').length, 'line')})`) : '';
    return [`    ${oneLine(name)}: ${oneLine(more)}${size}`];
  });
}

function body(text: string, { colors, isFull }: Style): string[] {
  const lines = visible(text).trimEnd().split('\n');
  if (isFull) return lines.map((line) => `    ${line}`);
  const left = lines.length - LINES;
  const shown = lines.slice(0, LINES).map((line) => `    ${cutTo(line, LINE_COLUMNS)}`);
  return left > 0 ? [...shown, colors.dim(`    … ${count(left, 'more line')} (--full shows them)`)] : shown;
}
