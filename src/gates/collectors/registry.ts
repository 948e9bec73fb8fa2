import type { Collector } from '../collector.ts';
import { codeCollectors } from './code-collectors.ts';
import { documentCollectors } from './document-collectors.ts';
import { runningCollectors } from './running-collectors.ts';

/** Every collector there is. A metric whose collector is not among them is not evaluable, and blocks. */
export const allCollectors: readonly Collector[] = [...codeCollectors, ...documentCollectors, ...runningCollectors];
