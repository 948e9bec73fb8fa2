import { FleetError } from '../../shared/errors.ts';
import { packagePath } from '../../shared/package-root.ts';
import { pythonTools } from '../collectors/code/python/toolchain.ts';
import {
  CUT_OFF_PYTHON,
  DEPENDENT_PYTHON,
  JUDGED_PYTHON,
  MISTYPED_PYTHON,
  ROTTEN_PYTHON,
  UNGUARDED_PYTHON,
  UNPARSABLE_PYTHON,
} from './python-twins.ts';
import { type Twins, rottenCode, scanTwins } from './scan-self-tests.ts';
import type { Defect, SelfTest } from './self-test.ts';

const rotten = (expect: Defect['expect']): Defect => rottenCode(ROTTEN_PYTHON, expect);

const TWINS: Readonly<Record<string, Twins>> = {
  ...scanTwins({ rotten: ROTTEN_PYTHON, unparsable: UNPARSABLE_PYTHON, dependent: DEPENDENT_PYTHON }),
  build: {
    clean: { expect: { build_success_rate: { atLeast: 1 } } },
    defects: [
      { what: 'a wrong type', edits: MISTYPED_PYTHON, expect: { build_success_rate: { atMost: 0.5 } } },
      {
        what: 'a file that does not compile',
        edits: UNPARSABLE_PYTHON,
        expect: { build_success_rate: { atMost: 0 } },
      },
    ],
  },
  tests: {
    clean: {
      expect: {
        test_pass_rate: { atLeast: 1 },
        test_coverage: { atLeast: 0.9 },
        test_count: { atLeast: 8 },
        total_test_cases: { atLeast: 8 },
      },
    },
    defects: [
      rotten({
        // Two fail, two are skipped, one is expected to fail, one passes.
        test_pass_rate: { atMost: 0.2 },
        test_coverage: { atMost: 0.5 },
        test_count: { atMost: 6 },
        total_test_cases: { atMost: 6 },
      }),
      {
        what: 'a test that ends the process with 0',
        edits: CUT_OFF_PYTHON,
        expect: { test_pass_rate: { notEvaluable: /did not run to its end/ } },
      },
      {
        what: 'a hook that turns every outcome into a pass',
        edits: JUDGED_PYTHON,
        expect: { test_pass_rate: { notEvaluable: /pytest_runtest_makereport/ } },
      },
    ],
  },
  regression: {
    clean: { expect: { regression_test_coverage: { atLeast: 1 } } },
    defects: [
      {
        what: 'a skipped regression test and one that fails',
        edits: UNGUARDED_PYTHON,
        expect: { regression_test_coverage: { atMost: 0.4 } },
      },
    ],
  },
  size: {
    clean: {
      expect: {
        lines_of_code: { atMost: 40 },
        service_dependencies: { atMost: 0 },
        defect_density: { atMost: 0 },
      },
    },
    defects: [
      rotten({ lines_of_code: { atLeast: 80 }, defect_density: { atLeast: 0.5 } }),
      { what: 'one more dependency', edits: DEPENDENT_PYTHON, expect: { service_dependencies: { atLeast: 1 } } },
    ],
  },
};

/** Why nothing in Python can be run here: then its self-tests are not run, and its metrics are in error. */
const needsPython: NonNullable<SelfTest['needs']> = async (context, { fetch }) => {
  try {
    await pythonTools(context, { fetch });
    return undefined;
  } catch (err) {
    if (!(err instanceof FleetError) || err.code !== 'TOOL_UNAVAILABLE') throw err;
    return `no Python toolchain: ${err.message}`;
  }
};

/** The same defects as for JavaScript, planted in a Python project, for the Python part of each collector. */
export const pythonSelfTests: Readonly<Record<string, SelfTest>> = Object.fromEntries(
  Object.entries(TWINS).map(([id, twins]) => [
    `${id}.python`,
    {
      phase: 'implementation',
      fixture: packagePath('config', 'selftest', 'python'),
      needs: needsPython,
      ...twins,
    },
  ]),
);
