import type { Collector } from '../collector.ts';
import { codeCollectors } from './code-collectors.ts';
import { documentCollectors } from './document-collectors.ts';
import { operationsCollectors } from './operations-collectors.ts';
import { runningCollectors } from './running-collectors.ts';

/** What these measure depends on the files alone; all others look at a clock, a load or a record as well. */
const BY_FILES_ALONE = new Set([
  'build',
  'quality',
  'tests',
  'regression',
  'stubs',
  'security',
  'docs-coverage',
  'bundle',
  'size',
  'documents',
  'stories',
  'traceability',
  'openapi',
  'database',
  'bugs',
  'overall',
  'licences',
  'sbom',
]);

/** Every collector there is. A metric whose collector is not among them is not evaluable, and blocks. */
export const allCollectors: readonly Collector[] = [
  ...codeCollectors,
  ...documentCollectors,
  ...runningCollectors,
  ...operationsCollectors,
].map((collector) => ({ ...collector, cacheable: BY_FILES_ALONE.has(collector.id) }));
