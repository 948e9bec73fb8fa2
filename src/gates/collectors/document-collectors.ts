import type { Collector } from '../collector.ts';
import { codeCollectors } from './code-collectors.ts';
import { approvalCollector } from './documents/approval.ts';
import { bugsCollector } from './documents/bugs.ts';
import { databaseCollector } from './documents/database.ts';
import { documentsCollector } from './documents/documents.ts';
import { openapiCollector } from './documents/openapi.ts';
import { createOverallCollector } from './documents/overall.ts';
import { reviewCollector } from './documents/review.ts';
import { createRunRecordCollector } from './documents/run-record.ts';
import { storiesCollector } from './documents/stories.ts';
import { traceabilityCollector } from './documents/traceability.ts';

/** Collectors that read documents and records. */
export const documentCollectors: Collector[] = [
  documentsCollector,
  storiesCollector,
  traceabilityCollector,
  openapiCollector,
  databaseCollector,
  bugsCollector,
  createOverallCollector((id) => [...codeCollectors, traceabilityCollector].find((collector) => collector.id === id)),
  createRunRecordCollector(Date.now),
  reviewCollector,
  approvalCollector,
];
