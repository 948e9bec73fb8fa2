import { hasTypeScript } from '../collectors/code/tests.ts';
import { keepReport } from '../collectors/code/run-tool.ts';
import { type CodeScope, TEST_FILE, readScope } from '../collectors/code/scope.ts';
import type { IntegrityCheck } from '../../shared/round-evidence.ts';
import type { Finding } from '../../shared/verdict.ts';
import type { Checked, IntegrityInput } from './integrity-context.ts';
import { type Mutation, tryMutants } from './mutants.ts';
import { type RedFirst, runOnOldCode } from './red-first.ts';

/** The share of planted faults that new tests must notice when they were not red on the old code. */
const KILL_RATIO = 0.25;
/** With less than this tried of what was drawn, nothing can be said. */
const TRIED_AT_LEAST = 4;

/**
 * New tests mean something when each of them failed on the code as it was before, or when they notice a fair share of the
 * faults that are planted in the code they run. A test that cannot be loaded with the old code has not failed for what
 * it checks, so that alone proves nothing when there is something to plant.
 */
export async function checkNewTests(input: IntegrityInput): Promise<Checked> {
  const isNew = (file: string): boolean =>
    input.changed.some((change) => change.file === file && (change.status === 'added' || change.status === 'modified'));
  if (!input.isTested) return nothing('the policy of this phase reads nothing that tests establish');
  const reading = await readScope(input.context.root, input.context.phase);
  if ('notEvaluable' in reading) return nothing(`the collectors report it: ${reading.notEvaluable}`);
  const { scope } = reading;
  const tests = scope.files.filter((file) => TEST_FILE.test(file) && isNew(file));
  if (tests.length === 0) return nothing('this phase added or changed no test');
  const typed = hasTypeScript(scope);
  const old = await runOnOldCode(input, tests, typed);
  if (old.green.length === 0 && old.notLoaded.length === 0) return judge(input, tests, old, undefined);
  const mutation = await tryMutants(input, scope, tests, typed);
  if ('notEvaluable' in mutation)
    return failed(input, tests, `whether the new tests notice faults cannot be said: ${mutation.notEvaluable}`);
  return judge(input, tests, old, mutation, scope);
}

const nothing = (message: string): Checked => ({
  check: { check: 'tests_mean_something', outcome: 'not_applicable', examined: 0, message, evidence: [] },
  findings: [],
});

const failed = (input: IntegrityInput, tests: readonly string[], message: string): Checked => ({
  check: {
    check: 'tests_mean_something',
    outcome: 'error',
    examined: tests.length,
    message,
    evidence: [{ kind: 'record', summary: message, tree: input.context.tree }],
  },
  findings: [],
});

async function judge(
  input: IntegrityInput,
  tests: readonly string[],
  old: RedFirst,
  mutation: Mutation | undefined,
  scope?: CodeScope,
): Promise<Checked> {
  const { context } = input;
  const report = JSON.stringify({ tests, onOldCode: old, mutation: mutation ?? null }, null, 2);
  const kept = await keepReport(context, 'new-tests.json', report);
  const [outcome, message] = decide(tests, old, mutation);
  const isBad = outcome === 'violated';
  const check: IntegrityCheck = {
    check: 'tests_mean_something',
    outcome,
    examined: old.red + old.green.length + old.notLoaded.length + (mutation ? triedOf(mutation) : 0),
    message,
    evidence: [
      {
        kind: 'command',
        summary: message,
        tool: 'node --test',
        tree: context.tree,
        sandbox: context.sandbox.kind,
        ...kept,
      },
    ],
  };
  return { check, findings: [...greenFindings(old, isBad), ...survivorFindings(mutation, isBad, scope)] };
}

const triedOf = (mutation: Mutation): number => mutation.killed.length + mutation.survived.length;

function decide(
  tests: readonly string[],
  old: RedFirst,
  mutation: Mutation | undefined,
): [IntegrityCheck['outcome'], string] {
  const seen = `${tests.length} new or changed test files: on the code as it was before, ${old.red} tests fail, ${old.green.length} pass, ${old.notLoaded.length} files cannot be loaded`;
  if (mutation === undefined) return ['held', `${seen}; every new test was red first`];
  const tried = triedOf(mutation);
  if (mutation.covered === 0) {
    return ['violated', `${seen}; and the new tests run no line of the code, so they guard nothing`];
  }
  if (mutation.possible === 0) {
    // Nothing in the covered lines can be wrong in a way that is planted here: constants, declarations.
    return old.green.length === 0
      ? ['held', `${seen}; no fault can be planted in the ${mutation.covered} lines they run`]
      : [
          'violated',
          `${seen}; tests that pass on the old code guard nothing, and no fault can be planted to prove otherwise`,
        ];
  }
  if (tried < Math.min(TRIED_AT_LEAST, mutation.possible, tried + mutation.untried))
    return ['error', `${seen}; only ${tried} of ${tried + mutation.untried} planted faults could be tried`];
  const share = `${mutation.killed.length} of ${tried} faults planted in the lines they run were noticed (${mutation.possible} possible, at least ${KILL_RATIO * 100} % needed)`;
  return [mutation.killed.length / tried >= KILL_RATIO ? 'held' : 'violated', `${seen}; ${share}`];
}

const greenFindings = (old: RedFirst, isBad: boolean): Finding[] =>
  old.green.map(({ file, line, name }) => ({
    rule: 'tests/not-red-first',
    message: `"${name}" passes on the code as it was before this phase`,
    severity: isBad ? 'error' : 'info',
    file,
    line: Math.max(line, 1),
  }));

const survivorFindings = (mutation: Mutation | undefined, isBad: boolean, scope?: CodeScope): Finding[] =>
  (mutation?.survived ?? [])
    .filter(({ file }) => scope?.sources.includes(file) ?? true)
    .map(({ file, line, what }) => ({
      rule: 'tests/surviving-mutant',
      message: `a planted fault was not noticed by the new tests: ${what}`,
      severity: isBad ? 'error' : 'warning',
      file,
      line,
    }));
