import { join } from 'node:path';
import compression from 'compression';
import express, { type Express, type RequestHandler } from 'express';
import helmet from 'helmet';
import type { Logger } from '../shared/logger.ts';
import { auditRequest, noteDetails } from './audit-requests.ts';
import type { AuditLog } from './audit.ts';
import { type Guard, authenticate, guardHost } from './authenticate.ts';
import { BOARD_PATH, type FleetQueues, boardRoutes } from './bull-board.ts';
import { guardOrigin } from './origins.ts';
import { notFound, problemHandler } from './problem.ts';
import { nameRequest } from './request-id.ts';
import { allow, mountRoutes } from './route.ts';
import { healthRoutes } from './routes-system.ts';
import { apiRoutes } from './routes.ts';
import type { ServerContext } from './server-context.ts';

interface AppOptions {
  host: string;
  packageRoot: string;
  corsOrigins?: readonly string[];
  trustedProxies?: number;
  guard: Guard;
}

/** What answers requests: first who asks and how often, then what is asked. */
export function createApp(context: ServerContext, queues: FleetQueues, options: AppOptions): Express {
  const { guard, host, packageRoot, corsOrigins = [], trustedProxies = 0 } = options;
  const { audit, logger } = context;
  const app = express();
  app.disable('x-powered-by');
  app.set('trust proxy', trustedProxies);
  app.use(nameRequest, securityHeaders(), guardHost(host), compressTexts, mountRoutes(healthRoutes(context), context));
  // A browser asks without its token whether a page of another origin may ask.
  app.use(guardOrigin(corsOrigins), authenticate(guard), guard.limiters.limitTokens);
  app.use(BOARD_PATH, guardBoard(audit, logger), boardRoutes(queues));
  app.use(mountRoutes(apiRoutes(context, queues), context));
  app.use(allow('read'), express.static(join(packageRoot, 'dist', 'web'), { index: 'index.html', redirect: false }));
  app.use(notFound, problemHandler(logger));
  return app;
}

/** What is worth it: the record of a large run has megabytes. Streams of events are left alone, so that none waits. */
const COMPRESSED = /^(?:application\/(?:problem\+)?json|text\/(?:html|css|javascript|plain|x-diff)|image\/svg\+xml)\b/;
const compressTexts: RequestHandler = compression({
  threshold: '8kb',
  filter: (_req, res) => COMPRESSED.test(String(res.getHeader('content-type'))),
});

/** Looking needs `read`; what the board can change needs `admin`, and stands in the audit log. */
function guardBoard(audit: AuditLog, logger: Logger): RequestHandler {
  const [look, change] = [allow('read'), allow('admin')];
  const auditChange = auditRequest(audit, logger, { id: 'changeQueues', scope: 'admin' });
  return async (req, res, next) => {
    if (req.method === 'GET' || req.method === 'HEAD') return look(req, res, next);
    noteDetails(req, { path: req.path.slice(0, 200) });
    return auditChange(req, res, (err?: unknown) => (err === undefined ? change(req, res, next) : next(err)));
  };
}

/** The pages load nothing from elsewhere; Bull Board sets styles and its configuration inline. */
const securityHeaders = () =>
  helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        workerSrc: ["'self'"],
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", 'data:'],
        fontSrc: ["'self'", 'data:'],
        connectSrc: ["'self'"],
        manifestSrc: ["'self'"],
        baseUri: ["'self'"],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    // The service speaks plain HTTP; whoever puts TLS before it sets this there.
    strictTransportSecurity: false,
  });
