import { keepReport } from '../collectors/code/run-tool.ts';
import type { IntegrityCheck } from '../../shared/round-evidence.ts';
import type { Finding } from '../../shared/verdict.ts';
import type { Checked, IntegrityInput } from './integrity-context.ts';
import { type Mutation, tryMutants } from './mutants.ts';
import { type RedFirst, runOnOldCode } from './red-first.ts';
import { readStacks } from './read-stacks.ts';
import type { TestStack } from './test-stack.ts';

const CHECK = 'tests_mean_something';
/** The share of planted faults that new tests must notice when they were not red on the old code. */
const KILL_RATIO = 0.25;
/** With less than this tried of what was drawn, nothing can be said. */
const TRIED_AT_LEAST = 4;
/** The gravest first: what holds for one stack holds for the project only when it holds for the other. */
const GRAVEST = ['violated', 'error', 'held', 'not_applicable'] as const;

/**
 * New tests mean something when each of them failed on the code as it was before, or when they notice a fair share of the
 * faults that are planted in the code they run. A test that cannot be loaded with the old code has not failed for what
 * it checks, so that alone proves nothing when there is something to plant.
 */
export async function checkNewTests(input: IntegrityInput): Promise<Checked> {
  if (!input.isTested) return nothing('the policy of this phase reads nothing that tests establish');
  const results: Checked[] = [];
  const faults: string[] = [];
  for (const reading of await readStacks(input.context)) {
    if ('notEvaluable' in reading) faults.push(reading.notEvaluable);
    else results.push(...(await checkStack(input, reading.stack)));
  }
  if (results.length > 0) return joined(results);
  return nothing(
    faults.length > 0 ? `the collectors report it: ${faults.join('; ')}` : 'this phase added or changed no test',
  );
}

async function checkStack(input: IntegrityInput, stack: TestStack): Promise<Checked[]> {
  const isNew = new Set(
    input.changed.filter(({ status }) => status === 'added' || status === 'modified').map(({ file }) => file),
  );
  const tests = stack.tests.filter((file) => isNew.has(file));
  if (tests.length === 0) return [];
  const old = await runOnOldCode(input, stack, tests);
  if (old.green.length === 0 && old.notLoaded.length === 0) return [await judge(input, stack, { tests, old })];
  const mutation = await tryMutants(input, stack, tests);
  if ('notEvaluable' in mutation) {
    const message = `whether the new tests notice faults cannot be said: ${mutation.notEvaluable}`;
    const evidence = [{ kind: 'record' as const, summary: message, tree: input.context.tree }];
    return [
      {
        check: { check: CHECK, outcome: 'error', examined: tests.length, message, evidence },
        findings: [],
        isWhole: false,
      },
    ];
  }
  return [await judge(input, stack, { tests, old, mutation })];
}

const nothing = (message: string): Checked => ({
  check: { check: CHECK, outcome: 'not_applicable', examined: 0, message, evidence: [] },
  findings: [],
});

function joined(results: readonly Checked[]): Checked {
  const checks = results.map(({ check }) => check);
  return {
    check: {
      check: CHECK,
      outcome: GRAVEST.find((outcome) => checks.some((check) => check.outcome === outcome)) ?? 'error',
      examined: checks.reduce((sum, { examined }) => sum + examined, 0),
      message: checks.map(({ message }) => message).join('; '),
      evidence: checks.flatMap(({ evidence }) => evidence),
    },
    findings: results.flatMap(({ findings }) => findings),
    isWhole: results.every(({ isWhole }) => isWhole !== false),
  };
}

interface Seen {
  tests: readonly string[];
  old: RedFirst;
  mutation?: Mutation;
}

async function judge(input: IntegrityInput, stack: TestStack, seen: Seen): Promise<Checked> {
  const { context } = input;
  const { tests, old, mutation } = seen;
  const report = JSON.stringify({ tests, onOldCode: old, mutation: mutation ?? null }, null, 2);
  const name = stack.name === 'Python' ? 'new-python-tests.json' : 'new-tests.json';
  const kept = await keepReport(context, name, report);
  const [outcome, message] = decide(seen);
  const { tool } = stack;
  const check: IntegrityCheck = {
    check: CHECK,
    outcome,
    examined: old.red + old.green.length + old.notLoaded.length + (mutation ? triedOf(mutation) : 0),
    message,
    evidence: [{ kind: 'command', summary: message, tool, tree: context.tree, sandbox: context.sandbox.kind, ...kept }],
  };
  const isBad = outcome === 'violated';
  return {
    check,
    findings: [...greenFindings(old, isBad), ...survivorFindings(mutation, isBad, stack)],
    isWhole: outcome !== 'error' && (mutation?.untried ?? 0) === 0,
  };
}

const triedOf = (mutation: Mutation): number => mutation.killed.length + mutation.survived.length;

function decide({ tests, old, mutation }: Seen): [IntegrityCheck['outcome'], string] {
  const seen = `${tests.length} new or changed test files: on the code as it was before, ${old.red} tests fail, ${old.green.length} pass, ${old.notLoaded.length} files cannot be loaded`;
  if (mutation === undefined) return ['held', `${seen}; every new test was red first`];
  if (mutation.covered === 0) {
    return ['violated', `${seen}; and the new tests run no line of the code, so they guard nothing`];
  }
  if (mutation.possible === 0) return nothingToPlant(mutation, old, seen);
  const tried = triedOf(mutation);
  if (tried < Math.min(TRIED_AT_LEAST, mutation.possible, tried + mutation.untried))
    return ['error', `${seen}; only ${tried} of ${tried + mutation.untried} planted faults could be tried`];
  const share = `${mutation.killed.length} of ${tried} faults planted in the lines they run were noticed (${mutation.possible} possible, at least ${KILL_RATIO * 100} % needed)`;
  return [mutation.killed.length / tried >= KILL_RATIO ? 'held' : 'violated', `${seen}; ${share}`];
}

/** Nothing in the lines that the tests run can be wrong in a way that is planted here: constants, declarations. */
function nothingToPlant(
  { elsewhere, covered }: Mutation,
  old: RedFirst,
  seen: string,
): [IntegrityCheck['outcome'], string] {
  if (old.green.length > 0)
    return [
      'violated',
      `${seen}; tests that pass on the old code guard nothing, and no fault can be planted to prove otherwise`,
    ];
  // To load code is not to run it.
  if (elsewhere > 0)
    return [
      'violated',
      `${seen}; of the ${elsewhere} places in that code where a fault could be planted, the new tests run none`,
    ];
  return ['held', `${seen}; no fault can be planted in the ${covered} lines they run`];
}

const greenFindings = (old: RedFirst, isBad: boolean): Finding[] =>
  old.green.map(({ file, line, name }) => ({
    rule: 'tests/not-red-first',
    message: `"${name}" passes on the code as it was before this phase`,
    severity: isBad ? 'error' : 'info',
    file,
    line: Math.max(line, 1),
  }));

const survivorFindings = (mutation: Mutation | undefined, isBad: boolean, { sources }: TestStack): Finding[] =>
  (mutation?.survived ?? [])
    .filter(({ file }) => sources.includes(file))
    .map(({ file, line, what }) => ({
      rule: 'tests/surviving-mutant',
      message: `a planted fault was not noticed by the new tests: ${what}`,
      severity: isBad ? 'error' : 'warning',
      file,
      line,
    }));
