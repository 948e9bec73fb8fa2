import type { z } from 'zod';
import type { RunLinks } from './api-schemas.ts';

/** Where a run is found, relative to the server. */
export const runLinks = (runId: string): z.infer<typeof RunLinks> => {
  const self = `/api/runs/${runId}`;
  return {
    self,
    events: `${self}/events`,
    gates: `${self}/gates`,
    artifacts: `${self}/artifacts`,
    report: `${self}/report`,
    evidence: `${self}/evidence`,
    page: `/#/runs/${runId}`,
  };
};
