import { type Command, Option } from 'commander';
import { doctorCommand } from '../commands/doctor.ts';
import { gatesCommand, gatesEvalCommand } from '../commands/gates.ts';
import { planCommand, validateCommand } from '../commands/plan.ts';
import { SCHEMA_KINDS, schemaCommand } from '../commands/schema.ts';
import { selfTestCommand } from '../commands/selftest.ts';
import { type MakeContext, type SetExit, withDefinitions, withJudging } from './options.ts';

export function addChecking(program: Command, context: MakeContext, set: SetExit): void {
  withDefinitions(program.command('validate <FILE...>'))
    .description('check workflow files, persona files and folders of them; costs nothing')
    .option('--json', 'one JSON document on stdout')
    .action((files: string[], flags) => set(validateCommand(context(), files, flags)));
  withDefinitions(program.command('plan <WORKFLOW>'))
    .description('what a run would do; costs nothing')
    .option('--json', 'one JSON document on stdout')
    .option('--mermaid', 'as a Mermaid graph')
    .action((name: string, flags) => set(planCommand(context(), name, flags)));
  const gates = withJudging(program.command('gates'))
    .enablePositionalOptions()
    .description('judge a folder by a phase policy, without Redis, a model or a key')
    .argument('<dir>', 'the folder to measure')
    // Required too, but commander would then ask for it in front of `eval` as well.
    .option('--phase <P>', 'the phase whose gates apply')
    .option('--measure <FILE>', 'commands that measure what the built-in collectors cannot; kept outside the folder')
    .option('--against <REF>', 'hold the tests against this git revision: the code before, and the tests handed down')
    .option('--no-reuse', 'measure again what was measured before on the same files')
    .option('--records <FILE>', 'exported records of the service in operation')
    .option('--advisories <FILE>', 'a snapshot of known vulnerabilities of packages')
    .addOption(
      new Option('--format <F>', 'how to print it')
        .choices(['table', 'json', 'junit', 'sarif', 'markdown', 'html'])
        .default('table'),
    )
    .action((dir: string, flags) => set(gatesCommand(context(), dir, flags)));
  withJudging(gates.command('eval'))
    .description('judge given values, with no files and no collectors')
    .requiredOption('--phase <P>', 'the phase whose gates apply')
    .requiredOption('--metrics <FILE>', '{"metrics": {...}, "artifacts": [...]}')
    .option('--json', 'one JSON document on stdout')
    .action((flags) => set(gatesEvalCommand(context(), flags)));
  gates
    .command('selftest')
    .description('plant known defects: every collector must turn red on this machine')
    .option('--collector <ID>', 'only this collector')
    .option('--cached', 'believe self-tests that passed before with the same tools')
    .option('--json', 'one JSON document on stdout')
    .action((flags) => set(selfTestCommand(context(), flags)));
  program
    .command('schema')
    .description('the JSON Schema of a kind of file, for editors')
    .argument('<kind>', SCHEMA_KINDS.join(', '))
    .action((kind: string) => set(schemaCommand(context(), kind)));
  program
    .command('doctor')
    .description('what this machine has and lacks, with remedies')
    .option('--reach', 'also call the endpoint of the model, without a key')
    .option('--json', 'one JSON document on stdout')
    .action((flags) => set(doctorCommand(context(), flags)));
}
