import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Collector } from '../collector.ts';
import { createPageCollector } from './running/page.ts';
import { serviceCollector } from './running/service.ts';

/** Collectors that start the software and use it. */
export const runningCollectors: Collector[] = [
  serviceCollector,
  createPageCollector({ cache: join(homedir(), '.cache', 'maestro-fleet') }),
];
