import type { ShelvedBlobs } from '../shared/blob-store.ts';
import type { Logger } from '../shared/logger.ts';
import type { Redis } from '../shared/redis.ts';
import type { ProviderName } from '../shared/run-record.ts';
import type { RunStore } from '../shared/run-store.ts';
import type { AuditLog } from './audit.ts';
import type { CommandFeed } from './command-feed.ts';
import type { RunSources } from './definitions-builder.ts';
import type { RunRepositories } from './run-repositories.ts';
import type { EventStreams } from './event-streams.ts';
import type { FleetFeed } from './fleet-feed.ts';
import type { RunSignals } from './run-signals.ts';
import type { UploadBodies } from './upload-bodies.ts';
import type { WebhookStore } from './webhooks/webhook-store.ts';
import type { WorkflowStore } from './workflow-store.ts';

/** What every route works with. */
export interface ServerContext {
  redis: Redis;
  prefix: string;
  store: RunStore;
  blobs: ShelvedBlobs;
  uploadBodies: UploadBodies;
  signals: RunSignals;
  /** The files of runs, for looking at. */
  repositories: RunRepositories;
  workflows: WorkflowStore;
  streams: EventStreams;
  feed: FleetFeed;
  /** What personas are running. */
  commands: CommandFeed;
  webhooks: WebhookStore;
  /** The folder that holds `workflows/`. */
  packageRoot: string;
  /** Personas, policies and models of every run that is started here, as they were when the server started. */
  sources: RunSources;
  /** Who plays the personas when a request does not say. */
  provider: ProviderName;
  logger: Logger;
  /** Every change that is asked for stands in it. */
  audit: AuditLog;
  /** Aborted when the server closes. */
  closing: AbortSignal;
}
