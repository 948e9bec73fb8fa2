import { FleetError, errorMessage } from '../../shared/errors.ts';
import type { IntegrityCheck } from '../../shared/round-evidence.ts';
import type { Finding } from '../../shared/verdict.ts';
import { removeWork } from '../collectors/code/run-tool.ts';
import { checkHandedDownTests } from './handed-down-tests.ts';
import type { Checked, IntegrityInput } from './integrity-context.ts';
import { checkMeasurement } from './measurement-untouched.ts';
import { checkNewTests } from './tests-mean-something.ts';

export interface Integrity {
  checks: IntegrityCheck[];
  findings: Finding[];
  /** False where a check could not be made, or was cut short by a limit. */
  isWhole: boolean;
}

const CHECKS = {
  handed_down_tests: checkHandedDownTests,
  measurement_untouched: checkMeasurement,
  tests_mean_something: checkNewTests,
} satisfies Partial<Record<IntegrityCheck['check'], (input: IntegrityInput) => Promise<Checked>>>;
export type IntegrityCheckName = keyof typeof CHECKS;
const NAMES = ['handed_down_tests', 'measurement_untouched', 'tests_mean_something'] as const;

/** Makes one check. */
export type MakeCheck = (name: IntegrityCheckName, input: IntegrityInput) => Promise<Checked>;
/** Makes it in this process. */
export const makeCheck: MakeCheck = (name, input) => CHECKS[name](input);

/** Compares the work of a phase with what it began with. A check that cannot be made is an error, which blocks. */
export async function checkIntegrity(input: IntegrityInput, make: MakeCheck = makeCheck): Promise<Integrity> {
  const results: Checked[] = [];
  try {
    for (const name of NAMES) results.push(await orError(input, name, make));
  } finally {
    await removeWork(input.context);
  }
  return {
    checks: results.map(({ check }) => check),
    findings: results.flatMap(({ findings }) => findings),
    isWhole: results.every(({ isWhole }) => isWhole !== false),
  };
}

async function orError(input: IntegrityInput, check: IntegrityCheckName, make: MakeCheck): Promise<Checked> {
  try {
    return await make(check, input);
  } catch (err) {
    if (input.context.signal.aborted) throw new FleetError('CANCELLED', 'checking was cancelled', { cause: err });
    const message = `could not be checked: ${errorMessage(err)}`;
    input.context.logger.warn({ check, message }, 'integrity check failed');
    return { check: { check, outcome: 'error', examined: 0, message, evidence: [] }, findings: [], isWhole: false };
  }
}
