import { codeCollector } from './measurement.ts';
import { runTests } from './run-tests.ts';
import { REGRESSION_METRIC, regressionReadings } from './test-metrics.ts';
import { hasTypeScript } from './tests.ts';

const REGRESSION_TEST = /^tests\/(?:regression|acceptance)\/.*\.test\.(?:[cm]?js|ts)$/;

/** A test names an id in its title. */
export const regression = codeCollector({
  id: 'regression',
  metrics: [REGRESSION_METRIC],
  timeoutMs: 180_000,
  measure: (context, scope) =>
    regressionReadings(context, {
      files: scope.files,
      tests: scope.files.filter((path) => REGRESSION_TEST.test(path)),
      run: (files) => runTests(context, files, { what: 'regression tests', hasTypeScript: hasTypeScript(scope) }),
      naming: (id) => new RegExp(String.raw`(?<![\w-])${id}(?![\w-]|\.\d)`),
    }),
});
