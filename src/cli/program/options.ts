import { type Command, InvalidArgumentError, Option } from 'commander';
import { Duration, durationMs } from '../../shared/workflow-schema.ts';
import type { CommandContext } from '../session.ts';

/** Made when a command is called, so that `--help` needs no valid environment. */
export type MakeContext = () => CommandContext;
export type SetExit = (work: Promise<number>) => Promise<void>;

export const wholeNumber =
  (low: number, high: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < low || value > high)
      throw new InvalidArgumentError(`give a whole number from ${low} to ${high}.`);
    return value;
  };
export const amount = (text: string): number => {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('give a number above 0.');
  return value;
};
export const duration = (text: string): number => {
  const parsed = Duration.safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError(`${parsed.error.issues[0]?.message ?? 'not a duration'}.`);
  return durationMs(parsed.data);
};
export const collect = (value: string, before: string[]): string[] => [...before, value];
export const provider = (fallback: string, more: readonly string[] = []): Option =>
  new Option('--provider <NAME>', 'who plays the personas')
    .choices(['anthropic', 'scripted', ...more])
    .default(fallback);

export function withRunFlags(command: Command, fallback: string, providers: readonly string[] = []): Command {
  return command
    .option('--input <NAME=VALUE>', 'an input of the workflow; repeatable', collect, [])
    .option('--input-file <FILE>', 'inputs as YAML or JSON')
    .addOption(provider(fallback, providers))
    .addOption(new Option('--scenario <NAME>', 'scripted provider: which scenario it plays').default('main'))
    .addOption(new Option('--approvals <WHO>', 'scripted provider: who approves').choices(['scripted', 'people']))
    .option('--budget-usd <N>', 'stop before more is spent', amount)
    .option('--budget-tokens <N>', 'stop before more is used', wholeNumber(1, 1e12))
    .option('--priority <N>', 'from 0, the most urgent, to 100', wholeNumber(0, 100))
    .option('--json', 'one JSON document on stdout');
}

/** Which policies count: those of the repository are laid over the shipped ones. */
export const withPolicies = (command: Command): Command =>
  command
    .option('--policy <FILE>', 'a policy file other than the shipped one')
    .option('--overlay <FILE>', 'what is laid over the policies (default: maestro.policies.yaml, where there is one)');
/** Policies, and the personas that a workflow may name. */
export const withDefinitions = (command: Command): Command => withPersonas(withPolicies(command));
export const withPersonas = (command: Command): Command =>
  command.option(
    '--personas-dir <DIR>',
    'personas of your own, beside the shipped ones or in their place (MAESTRO_PERSONAS)',
  );
export const withJudging = (command: Command): Command =>
  withPolicies(command)
    .option('--bypasses <FILE>', 'a log of bypasses, made with `maestro bypass ... --log FILE`')
    .option('--baseline <FILE>', 'the JSON report of an earlier run, for criteria relative to it');

export const json = (command: Command): Command => command.option('--json', 'one JSON document on stdout');
