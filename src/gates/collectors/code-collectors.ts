import type { Collector } from '../collector.ts';
import { build } from './code/build.ts';
import { bundle } from './code/bundle.ts';
import { docsCoverage } from './code/docs-coverage.ts';
import { pythonBuild } from './code/python/build.ts';
import { pythonQuality } from './code/python/quality.ts';
import { pythonRegression } from './code/python/regression.ts';
import { pythonSecurity } from './code/python/security.ts';
import { pythonDocsCoverage, pythonSize, pythonStubs } from './code/python/syntax-metrics.ts';
import { pythonTests } from './code/python/tests.ts';
import { quality } from './code/quality.ts';
import { regression } from './code/regression.ts';
import { security } from './code/security.ts';
import { size } from './code/size.ts';
import { byStack } from './code/stack.ts';
import { stubs } from './code/stubs.ts';
import { tests } from './code/tests.ts';

/** Everything that is measured on code by running tools on it. */
export const codeCollectors: Collector[] = [
  byStack(build, pythonBuild),
  byStack(quality, pythonQuality),
  byStack(tests, pythonTests),
  byStack(regression, pythonRegression),
  byStack(stubs, pythonStubs),
  byStack(security, pythonSecurity),
  byStack(docsCoverage, pythonDocsCoverage),
  bundle,
  byStack(size, pythonSize),
];
