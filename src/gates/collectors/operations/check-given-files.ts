import type { GivenFiles } from '../../../shared/definitions.ts';
import { parseAdvisories } from './advisories.ts';
import { parseRecords } from './operation-records.ts';

/** What is handed in with a run is read hours later: that it cannot be read is said when the run begins. */
export function checkGivenFiles({ records, advisories }: GivenFiles): void {
  if (records !== undefined) parseRecords(records);
  if (advisories !== undefined) parseAdvisories(advisories);
}
