import type { Collector } from '../collector.ts';
import { deploymentCollector } from './operations/deployment.ts';
import { monitoringCollector } from './operations/monitoring.ts';
import { licencesCollector, sbomCollector } from './operations/sbom.ts';

/** Collectors of what happens when the software is released and operated, and of what it is made of. */
export const operationsCollectors: Collector[] = [
  deploymentCollector,
  monitoringCollector,
  licencesCollector,
  sbomCollector,
];
