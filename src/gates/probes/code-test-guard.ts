import assert from 'node:assert';

/**
 * Loaded into every test file's process before the test file. A test file that ends its own process cuts off the
 * tests that have not run, and with exit code 0 the runner takes that for success; here such an end has a code of
 * its own. The code is set on the way out, so that a saved reference to `process.exit` does not escape it.
 * The assertions of Node are the fleet's as well: a test cannot put others in their place, so what it says of itself
 * with them is what they found.
 */
const CUT_OFF = 97;

if (
  process.env['NODE_TEST_CONTEXT'] !== undefined &&
  /[\\/]tests[\\/].*\.test\.[cm]?[jt]s$/.test(process.argv[1] ?? '')
) {
  for (const part of [assert, assert.strict, assert.AssertionError.prototype, assert.AssertionError])
    Object.freeze(part);
  let isDone = false;
  const reallyExit: unknown = Reflect.get(process, 'reallyExit');
  process.on('beforeExit', () => {
    isDone = true;
  });
  Object.defineProperty(process, 'reallyExit', {
    configurable: false,
    writable: false,
    value: (code?: number) => {
      const last = isDone || (code ?? 0) !== 0 ? (code ?? 0) : CUT_OFF;
      if (typeof reallyExit === 'function') Reflect.apply(reallyExit, process, [last]);
    },
  });
  process.on('exit', (code) => {
    if (!isDone && code === 0) process.exitCode = CUT_OFF;
  });
}
