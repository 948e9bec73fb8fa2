import Table from 'cli-table3';
import { allCollectors } from '../../gates/collectors/registry.ts';
import { openMeasuringAids } from '../../gates/open-measuring-aids.ts';
import { ProvenCollectors, partsOf } from '../../gates/selftest/proven-collectors.ts';
import { type SelfTestResult, faultOfProof } from '../../gates/selftest/self-test.ts';
import { EXIT, FleetError } from '../../shared/errors.ts';
import { createLogger } from '../../shared/logger.ts';
import { openSandbox } from '../../shared/sandbox/open-sandbox.ts';
import { nearestHint } from '../../shared/yaml-file.ts';
import type { CommandContext } from '../session.ts';

export interface SelfTestFlags {
  collector?: string;
  json?: boolean;
  cached?: boolean;
}

interface Line {
  collector: string;
  version: string;
  passed: boolean;
  /** False where this machine lacks what it needs: then it has neither passed nor failed. */
  ran: boolean;
  reason: string | null;
  result: SelfTestResult | null;
}

/** `maestro gates selftest`: plants known defects for every collector and requires each to turn red, here and now. */
export async function selfTestCommand(context: CommandContext, flags: SelfTestFlags): Promise<number> {
  const { config, terminal, signal } = context;
  const collectors = allCollectors.flatMap((whole) =>
    partsOf(whole).filter(({ id }) => flags.collector === undefined || [id, whole.id].includes(flags.collector)),
  );
  if (collectors.length === 0) {
    const ids = allCollectors.flatMap(partsOf).map(({ id }) => id);
    throw new FleetError(
      'BAD_USAGE',
      `there is no collector "${flags.collector}"${nearestHint(flags.collector ?? '', ids)}`,
    );
  }
  const logger = createLogger({ level: config.logLevel, name: 'maestro' });
  const sandbox = await openSandbox({ mode: config.sandbox, cache: config.cache, logger });
  const proven =
    flags.cached === true
      ? (await openMeasuringAids({ cache: config.cache, sandbox, logger, signal })).selftest
      : new ProvenCollectors({ sandbox, logger, signal });
  const lines: Line[] = [];
  for (const collector of collectors) {
    const { id, version } = collector;
    const lacks = await proven.lacks(collector);
    if (lacks !== undefined) {
      lines.push({ collector: id, version, passed: false, ran: false, reason: lacks, result: null });
      continue;
    }
    if (flags.json !== true) terminal.err(`self-test of ${id} ...`);
    const result = (await proven.resultOf(collector, signal)) ?? null;
    const reason = faultOfProof(collector, result ?? undefined) ?? null;
    lines.push({ collector: id, version, passed: reason === null, ran: true, reason, result });
  }
  const passed = lines.every((line) => line.passed || !line.ran) && lines.some((line) => line.passed);
  const facts = { passed, sandbox: sandbox.description, node: process.version };
  terminal.out(flags.json === true ? JSON.stringify({ ...facts, collectors: lines }) : table(lines, context));
  return passed ? EXIT.passed : EXIT.blocked;
}

function table(lines: readonly Line[], { terminal }: CommandContext): string {
  const colors = terminal.outColors;
  const view = new Table({
    head: ['collector', 'self-test', 'checks', 'time', 'tools'],
    style: { head: [], border: [] },
  });
  for (const { collector, version, passed, ran, result } of lines) {
    view.push([
      `${collector} ${version}`,
      passed ? colors.green('passed') : ran ? colors.red('failed') : colors.yellow('not run'),
      String(result?.checks.length ?? 0),
      result === null ? '' : `${(result.durationMs / 1000).toFixed(1)} s`,
      Object.entries(result?.tools ?? {})
        .map(([tool, toolVersion]) => `${tool} ${toolVersion}`)
        .join(', '),
    ]);
  }
  const tried = lines.filter(({ ran }) => ran);
  const faults = tried.flatMap((line) => (line.reason === null ? [] : [`${colors.red('failed')} ${line.reason}`]));
  const end =
    faults.length === 0
      ? `${tried.length} collectors tell good from bad on this machine`
      : `${faults.length} of ${tried.length} collectors are not proven: gates that read their metrics are in error, and block`;
  return [view.toString(), ...faults, ...notRunLines(lines), end].join('\n');
}

/** One line for each reason: what was not tried is never green. */
function notRunLines(lines: readonly Line[]): string[] {
  const left = lines.filter(({ ran }) => !ran);
  return [...new Set(left.map(({ reason }) => reason ?? ''))].map((reason) => {
    const ids = left.filter((line) => line.reason === reason).map(({ collector }) => collector);
    return `${reason} (${ids.join(', ')}): their metrics are in error until it passes, never green`;
  });
}
