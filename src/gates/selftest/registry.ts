import { codeSelfTests } from './code-self-tests.ts';
import { documentSelfTests } from './document-self-tests.ts';
import { operationsSelfTests } from './operations-self-tests.ts';
import { recordSelfTests } from './record-self-tests.ts';
import { runningSelfTests } from './running-self-tests.ts';
import type { SelfTest } from './self-test.ts';

/** One self-test for each collector. What has none is not proven, and blocks. */
export const selfTests: Readonly<Record<string, SelfTest>> = {
  ...codeSelfTests,
  ...documentSelfTests,
  ...recordSelfTests,
  ...runningSelfTests,
  ...operationsSelfTests,
};
