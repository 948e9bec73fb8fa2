import type { Collector } from '../collector.ts';
import { build } from './code/build.ts';
import { bundle } from './code/bundle.ts';
import { docsCoverage } from './code/docs-coverage.ts';
import { quality } from './code/quality.ts';
import { regression } from './code/regression.ts';
import { security } from './code/security.ts';
import { size } from './code/size.ts';
import { stubs } from './code/stubs.ts';
import { tests } from './code/tests.ts';

/** Everything that is measured on code by running tools on it. */
export const codeCollectors: Collector[] = [
  build,
  quality,
  tests,
  regression,
  stubs,
  security,
  docsCoverage,
  bundle,
  size,
];
