/** Files that decide whether code is right: tests, and whatever lies beside them for their use. */
const TEST_CODE =
  /(?:^|\/)(?:tests?|__tests__|spec)\/|\.(?:test|spec)\.[cm]?[jt]sx?$|(?:^|\/)(?:test_[^/]+|[^/]+_test|conftest)\.py$/;

export const isTestCode = (path: string): boolean => TEST_CODE.test(path);
