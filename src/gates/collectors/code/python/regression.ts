import { REGRESSION_METRIC, regressionReadings } from '../test-metrics.ts';
import { pythonCollector } from './probe.ts';
import { runPytest } from './run-pytest.ts';

const REGRESSION_TEST = /(?:^|\/)tests?\/(?:regression|acceptance)\//;

/**
 * A test names an id in its name or in the first line of its docstring: `test_fr_1_...` and `"""FR-1: ..."""` name
 * FR-1; `test_fr_12` does not. Python names cannot hold a hyphen, so an underscore stands for it there.
 */
export const pythonRegression = pythonCollector({
  id: 'regression',
  metrics: [REGRESSION_METRIC],
  timeoutMs: 180_000,
  measure: (context, scope) =>
    regressionReadings(context, {
      files: scope.files,
      tests: scope.allTests.filter((path) => REGRESSION_TEST.test(path)),
      run: (files) => runPytest(context, scope, files, { what: 'regression tests', coverage: false }),
      naming: (id) => new RegExp(String.raw`(?<![a-z0-9])${id.replaceAll('-', '[-_]')}(?![a-z0-9]|\.\d)`, 'i'),
    }),
});
