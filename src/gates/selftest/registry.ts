import { codeSelfTests } from './code-self-tests.ts';
import { documentSelfTests } from './document-self-tests.ts';
import { pythonSelfTests } from './python-self-tests.ts';
import { operationsSelfTests } from './operations-self-tests.ts';
import { recordSelfTests } from './record-self-tests.ts';
import { runningSelfTests } from './running-self-tests.ts';
import type { SelfTest } from './self-test.ts';

/** One self-test for each collector, and for each stack that it measures. What has none is not proven, and blocks. */
export const selfTests: Readonly<Record<string, SelfTest>> = {
  ...codeSelfTests,
  ...pythonSelfTests,
  ...documentSelfTests,
  ...recordSelfTests,
  ...runningSelfTests,
  ...operationsSelfTests,
};
