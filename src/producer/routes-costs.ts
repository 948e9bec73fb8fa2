import { z } from 'zod';
import { RunId } from '../shared/names.ts';
import { CostsQuery, FleetCosts, RunCosts } from './api-cost-schemas.ts';
import { type CostSources, fleetCosts, runCosts } from './cost-report.ts';
import { type Route, json, route } from './route.ts';
import type { ServerContext } from './server-context.ts';

/** What calls to models have cost. */
export function costRoutes({ redis, prefix, store, sources }: ServerContext): Route[] {
  const costs: CostSources = { redis, prefix, store, models: sources.models };
  return [
    route({
      method: 'get',
      path: '/api/costs',
      id: 'getCosts',
      summary: 'What the fleet has cost, day by day',
      scope: 'read',
      query: CostsQuery,
      answers: [json(200, 'The days, newest first', 'FleetCosts', FleetCosts)],
      handle: async ({ query, res }) => {
        res.json(await fleetCosts(costs, query));
      },
    }),
    route({
      method: 'get',
      path: '/api/runs/{id}/costs',
      id: 'getRunCosts',
      summary: 'What a run has cost: in all, by phase, persona, model and day, and call by call',
      scope: 'read',
      params: z.object({ id: RunId }),
      answers: [json(200, 'Its costs and where its budgets stand', 'RunCosts', RunCosts)],
      handle: async ({ params: { id }, res }) => {
        res.json(await runCosts(costs, id));
      },
    }),
  ];
}
