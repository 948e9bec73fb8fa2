import Table from 'cli-table3';
import { allCollectors } from '../../gates/collectors/registry.ts';
import { openMeasuringAids } from '../../gates/open-measuring-aids.ts';
import { ProvenCollectors } from '../../gates/selftest/proven-collectors.ts';
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
  reason: string | null;
  result: SelfTestResult | null;
}

/** `maestro gates selftest`: plants known defects for every collector and requires each to turn red, here and now. */
export async function selfTestCommand(context: CommandContext, flags: SelfTestFlags): Promise<number> {
  const { config, terminal, signal } = context;
  const collectors = allCollectors.filter(({ id }) => flags.collector === undefined || id === flags.collector);
  if (collectors.length === 0) {
    const ids = allCollectors.map(({ id }) => id);
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
    if (flags.json !== true) terminal.err(`self-test of ${collector.id} ...`);
    const result = (await proven.resultOf(collector, signal)) ?? null;
    const reason = faultOfProof(collector, result ?? undefined) ?? null;
    lines.push({ collector: collector.id, version: collector.version, passed: reason === null, reason, result });
  }
  const passed = lines.every((line) => line.passed);
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
  for (const { collector, version, passed, result } of lines) {
    view.push([
      `${collector} ${version}`,
      passed ? colors.green('passed') : colors.red('failed'),
      String(result?.checks.length ?? 0),
      result === null ? '' : `${(result.durationMs / 1000).toFixed(1)} s`,
      Object.entries(result?.tools ?? {})
        .map(([tool, toolVersion]) => `${tool} ${toolVersion}`)
        .join(', '),
    ]);
  }
  const faults = lines.flatMap((line) => (line.reason === null ? [] : [`${colors.red('failed')} ${line.reason}`]));
  const end =
    faults.length === 0
      ? `${lines.length} collectors tell good from bad on this machine`
      : `${faults.length} of ${lines.length} collectors are not proven: gates that read their metrics are in error, and block`;
  return [view.toString(), ...faults, end].join('\n');
}
