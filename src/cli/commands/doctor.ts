import { EXIT } from '../../shared/errors.ts';
import { wrapTo } from '../../gates/reports/columns.ts';
import { type Check, type Outcome, look } from '../doctor/check.ts';
import { blobCheck, diskCheck, gitCheck, nodeCheck, portCheck, sandboxCheck } from '../doctor/machine-checks.ts';
import { providerCheck } from '../doctor/provider-check.ts';
import { redisChecks } from '../doctor/redis-checks.ts';
import type { CommandContext } from '../session.ts';
import type { Terminal } from '../terminal.ts';
import { count, oneLine } from '../text.ts';

/** `maestro doctor`: looks at everything a fleet needs on this machine. It writes one small blob, and changes nothing. */
export async function doctorCommand(
  context: CommandContext,
  flags: { json?: boolean; reach?: boolean },
): Promise<number> {
  const { terminal } = context;
  const checks: Check[] = [
    await look('node', async () => nodeCheck()),
    await look('git', () => gitCheck(context)),
    ...(await redisChecks(context)),
    await look('sandbox', () => sandboxCheck(context)),
    await look('blobs', () => blobCheck(context)),
    await look('model', () => providerCheck(context, flags.reach === true)),
    await look('port', () => portCheck(context)),
    await look('disk', () => diskCheck(context)),
  ];
  const failed = checks.filter(({ ok }) => !ok);
  const warned = checks.filter(({ outcome }) => outcome === 'warning');
  if (flags.json === true) terminal.out(JSON.stringify({ ok: failed.length === 0, checks }, null, 2));
  else {
    for (const line of doctorLines(checks, terminal)) terminal.out(line);
    terminal.err(
      failed.length > 0
        ? `${count(failed.length, 'part')} cannot be used: ${failed.map(({ name }) => name).join(', ')}`
        : warned.length > 0
          ? `all can be used; ${count(warned.length, 'warning')}`
          : 'all is well',
    );
  }
  return failed.length === 0 ? EXIT.passed : EXIT.unavailable;
}

const MARKS: Readonly<Record<Outcome, string>> = { ok: '✔', warning: '!', failed: '✘', skipped: '–' };

/** A part a line, with what to do below it; broken between words where the width is known. */
function doctorLines(checks: readonly Check[], terminal: Terminal): string[] {
  const { outColors: colors } = terminal;
  const paints = { ok: colors.green, warning: colors.yellow, failed: colors.red, skipped: colors.dim };
  const width = Math.max(...checks.map((check) => check.name.length));
  const indent = ' '.repeat(width + 4);
  const columns = Math.max(30, (terminal.outColumns() ?? Number.POSITIVE_INFINITY) - indent.length);
  return checks.flatMap(({ name, outcome, detail, remedy }) => {
    const paint = paints[outcome];
    const [first = '', ...more] = wrapTo(oneLine(detail), columns);
    return [
      `${paint(MARKS[outcome])} ${name.padEnd(width)}  ${outcome === 'skipped' ? colors.dim(first) : first}`,
      ...more.map((line) => `${indent}${line}`),
      ...(remedy === '' ? [] : wrapTo(`→ ${remedy}`, columns).map((line) => `${indent}${paint(line)}`)),
    ];
  });
}
