import type { FleetQueues } from './bull-board.ts';
import { openApiDocument } from './openapi.ts';
import type { Route } from './route.ts';
import { costRoutes } from './routes-costs.ts';
import { controlRoutes } from './routes-control.ts';
import { fileRoutes } from './routes-files.ts';
import { eventRoutes } from './routes-events.ts';
import { runRoutes } from './routes-runs.ts';
import { auditRoute, documentRoute, healthRoutes, referenceRoute, systemRoutes } from './routes-system.ts';
import { viewerRoutes } from './routes-viewer.ts';
import { webhookRoutes } from './routes-webhooks.ts';
import { workflowRoutes } from './routes-workflows.ts';
import type { ServerContext } from './server-context.ts';

/** Every operation that asks who calls it. Those of `healthRoutes` do not, and stand before them. */
export function apiRoutes(context: ServerContext, queues: FleetQueues): Route[] {
  const routes = [
    ...workflowRoutes(context),
    ...runRoutes(context),
    ...fileRoutes(context),
    ...costRoutes(context),
    ...eventRoutes(context),
    ...webhookRoutes(context),
    ...controlRoutes(context),
    ...viewerRoutes(context, queues),
    ...systemRoutes(context, queues),
    auditRoute(context),
    documentRoute(() => document),
    referenceRoute(() => document),
  ];
  const document = openApiDocument([...healthRoutes(context), ...routes]);
  return routes;
}
