import { BUILDS_NOTHING, CUT_OFF_TESTS, DEPENDENT, ROTTEN, UNBUILDABLE, UNGUARDED, UNPARSABLE } from './code-twins.ts';
import { rottenCode, scanTwins } from './scan-self-tests.ts';
import type { Defect, SelfTest } from './self-test.ts';

const phase = 'implementation';
const rotten = (expect: Defect['expect']): Defect => rottenCode(ROTTEN, expect);

const scans = Object.entries(scanTwins({ rotten: ROTTEN, unparsable: UNPARSABLE, dependent: DEPENDENT }));

/** Defects in code, tests and manifest, for the collectors that run tools on them. */
export const codeSelfTests: Readonly<Record<string, SelfTest>> = {
  ...Object.fromEntries(scans.map(([id, twins]) => [id, { phase, ...twins }])),
  build: {
    phase,
    clean: { expect: { build_success_rate: { atLeast: 1 } } },
    defects: [
      {
        what: 'a build that fails and a wrong type',
        edits: UNBUILDABLE,
        expect: { build_success_rate: { atMost: 0 } },
      },
      {
        what: 'a build that makes nothing',
        edits: BUILDS_NOTHING,
        expect: { build_success_rate: { notEvaluable: /made no file/ } },
      },
    ],
  },
  tests: {
    phase,
    clean: {
      expect: {
        test_pass_rate: { atLeast: 1 },
        test_coverage: { atLeast: 0.8 },
        test_count: { atLeast: 8 },
        total_test_cases: { atLeast: 8 },
      },
    },
    defects: [
      rotten({
        // One passes, two fail, two are skipped.
        test_pass_rate: { atMost: 0.2 },
        test_coverage: { atMost: 0.5 },
        test_count: { atMost: 5 },
        total_test_cases: { atMost: 5 },
      }),
      {
        what: 'a test file that ends its process with 0',
        edits: CUT_OFF_TESTS,
        expect: { test_pass_rate: { notEvaluable: /process\.exit/ } },
      },
    ],
  },
  regression: {
    phase,
    clean: { expect: { regression_test_coverage: { atLeast: 1 } } },
    defects: [
      {
        what: 'a skipped regression test and one that fails',
        edits: UNGUARDED,
        expect: { regression_test_coverage: { atMost: 0.5 } },
      },
    ],
  },
  bundle: {
    phase,
    clean: { expect: { bundle_size_kb: { atMost: 20 } } },
    defects: [
      rotten({ bundle_size_kb: { atLeast: 40 } }),
      {
        what: 'a page that imports what is not there',
        edits: { 'src/frontend/app.js': "import { gone } from './gone.js';\n\nexport const made = gone;\n" },
        expect: { bundle_size_kb: { notEvaluable: /cannot be bundled/ } },
      },
    ],
  },
  size: {
    phase,
    clean: {
      expect: {
        lines_of_code: { atMost: 110 },
        service_dependencies: { atMost: 0 },
        defect_density: { atMost: 0 },
      },
    },
    defects: [
      rotten({ lines_of_code: { atLeast: 140 }, defect_density: { atLeast: 0.5 } }),
      { what: 'one more dependency', edits: DEPENDENT, expect: { service_dependencies: { atLeast: 1 } } },
    ],
  },
};
