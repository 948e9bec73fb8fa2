import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { FleetError } from './errors.ts';
import { HostPort } from './network/allow-list.ts';
import { Duration, durationMs } from './workflow-schema.ts';

const blankIsAbsent = (value: unknown): unknown => (value === '' ? undefined : value);
const optional = <T extends z.ZodType>(schema: T) => z.preprocess(blankIsAbsent, schema.optional());

/** `host:port`, with commas or spaces between. */
const HostPorts = z
  .string()
  .transform((text) => text.split(/[\s,]+/).filter(Boolean))
  .pipe(z.array(HostPort));

/** Origins as browsers send them, with commas between them. */
const Origins = z
  .string()
  .transform((text) => text.split(',').map((origin) => origin.trim()))
  .pipe(
    z.array(
      z
        .string()
        .refine((origin) => URL.canParse(origin) && /^https?:/.test(origin) && new URL(origin).origin === origin, {
          message: 'give origins such as https://dashboard.example, with commas between them',
        }),
    ),
  );

/** Every setting that comes from the environment, by its name there. */
const Environment = z.object({
  REDIS_URL: optional(z.url({ protocol: /^(rediss?|unix)$/ })),
  MAESTRO_HOME: optional(z.string()),
  MAESTRO_BLOBS: optional(z.string()),
  MAESTRO_PREFIX: optional(z.string().regex(/^[\w{}.-]+$/)),
  MAESTRO_SANDBOX: optional(z.enum(['auto', 'bwrap', 'container', 'off'])),
  MAESTRO_NETWORK_ALLOW: optional(HostPorts),
  MAESTRO_MCP_DIR: optional(z.string()),
  MAESTRO_WORKSPACE_MIB: optional(z.coerce.number().int().min(1).max(10_000)),
  MAESTRO_LOG_LEVEL: optional(z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])),
  MAESTRO_SCRIPTED_URL: optional(z.url()),
  MAESTRO_MODELS: optional(z.string()),
  MAESTRO_ANTHROPIC_KEY_FILE: optional(z.string()),
  MAESTRO_KEEP_RUNS_DAYS: optional(z.coerce.number().positive().max(36_500)),
  MAESTRO_KEEP_RUNS_COUNT: optional(z.coerce.number().int().min(0)),
  MAESTRO_PERSONAS: optional(z.string()),
  MAESTRO_STUCK_AFTER: optional(Duration),
  MAESTRO_DRAIN_DEADLINE: optional(Duration),
  MAESTRO_MAX_CONVERSATIONS: optional(z.coerce.number().int().min(1).max(10_000)),
  MAESTRO_API_URL: optional(z.url()),
  MAESTRO_TOKEN: optional(z.string()),
  MAESTRO_CORS_ORIGINS: optional(Origins),
  MAESTRO_TRUSTED_PROXIES: optional(z.coerce.number().int().min(0).max(16)),
  MAESTRO_RATE_LIMIT: optional(z.coerce.number().int().min(1).max(10_000_000)),
  MAESTRO_STREAM_LIMIT: optional(z.coerce.number().int().min(1).max(1_000_000)),
  MAESTRO_WEBHOOK_ALLOW_PRIVATE: optional(z.enum(['0', '1'])),
  MAESTRO_WEBHOOK_ALLOW_HOSTS: optional(z.string()),
  MAESTRO_WEBHOOK_KEY: optional(z.string().min(32)),
  MAESTRO_SIGNING_KEY: optional(z.string()),
  ANTHROPIC_API_KEY: optional(z.string()),
  ANTHROPIC_AUTH_TOKEN: optional(z.string()),
  ANTHROPIC_BASE_URL: optional(z.url()),
  PORT: optional(z.coerce.number().int().min(0).max(65_535)),
});

export interface Config {
  redisUrl: string | undefined;
  /** Data of this machine: private Redis, work folders, the default blob store. Never shared between machines. */
  home: string;
  /** Downloads that any project of this user may share. */
  cache: string;
  /** `file:///...`, a path, or `s3://bucket/prefix`. */
  blobs: string;
  /** Key prefix of everything in Redis, with a hash tag so that it is one slot. */
  prefix: string;
  sandbox: 'auto' | 'bwrap' | 'container' | 'off';
  /** Places outside that personas may be allowed, `host:port` each. */
  networkAllow: readonly HostPort[];
  /** A folder with MCP servers, which commands of personas see read-only. */
  mcpFolder: string | undefined;
  /** The most bytes that the files of a phase may have which are kept and handed on. */
  workspaceBytes: number;
  logLevel: string;
  scriptedUrl: string | undefined;
  /** The model file, where it is not the one that ships. */
  modelsFile: string | undefined;
  apiUrl: string | undefined;
  apiToken: string | undefined;
  /** Pages of these origins may use the API. */
  corsOrigins: readonly string[];
  /** How many proxies stand before the API. */
  trustedProxies: number;
  /** Requests a minute for each token; the built-in limit when not set. */
  rateLimit: number | undefined;
  /** Event streams that one token may have open. */
  streamLimit: number | undefined;
  port: number;
  /** Runs that have ended stay in Redis for so many days, and so many of them; older ones move to the blob store. */
  keepRuns: { days: number; count: number };
  /** A folder with persona files of the user's own, beside the shipped ones. */
  personas: string | undefined;
  /** A phase whose work shows no progress for its timeout and this long is ended. */
  stuckAfterMs: number;
  /** How long a worker that is told to stop lets its work end before it gives it back. */
  drainMs: number;
  /** Conversations that a worker process holds at once, over all personas; the built-in limit when not set. */
  maxConversations: number | undefined;
  /** Which addresses beside public ones may be told of events, and what encrypts the secrets of webhooks. */
  webhooks: { allowPrivate: boolean; allowHosts: readonly string[]; key: string | undefined };
  /** The file of the key that signs the evidence of runs, and whether it is this machine's own, made when it is not there. */
  signingKey: { file: string; isOwn: boolean };
  anthropic: { apiKey: string | undefined; authToken: string | undefined; baseUrl: string | undefined };
}

/** Reads the environment once. Reports every bad setting at once, by name and never by value. */
export function readConfig(env: NodeJS.ProcessEnv, cwd: string): Readonly<Config> {
  const parsed = Environment.safeParse(env);
  if (!parsed.success) {
    const names = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new FleetError('BAD_USAGE', `the environment is not valid: ${names.join('; ')}`, {
      remedy: 'Correct or unset these variables.',
    });
  }
  const settings = parsed.data;
  const home = resolve(cwd, settings.MAESTRO_HOME ?? '.maestro');
  return Object.freeze({
    redisUrl: settings.REDIS_URL,
    home,
    cache: join(env['XDG_CACHE_HOME'] ?? join(homedir() || tmpdir(), '.cache'), 'maestro-fleet'),
    blobs: settings.MAESTRO_BLOBS ?? join(home, 'blobs'),
    prefix: settings.MAESTRO_PREFIX ?? '{maestro}',
    sandbox: settings.MAESTRO_SANDBOX ?? 'auto',
    networkAllow: settings.MAESTRO_NETWORK_ALLOW ?? [],
    mcpFolder: settings.MAESTRO_MCP_DIR === undefined ? undefined : resolve(cwd, settings.MAESTRO_MCP_DIR),
    workspaceBytes: (settings.MAESTRO_WORKSPACE_MIB ?? 100) * 1024 ** 2,
    logLevel: settings.MAESTRO_LOG_LEVEL ?? 'warn',
    scriptedUrl: settings.MAESTRO_SCRIPTED_URL,
    modelsFile: settings.MAESTRO_MODELS === undefined ? undefined : resolve(cwd, settings.MAESTRO_MODELS),
    apiUrl: settings.MAESTRO_API_URL,
    apiToken: settings.MAESTRO_TOKEN,
    corsOrigins: settings.MAESTRO_CORS_ORIGINS ?? [],
    trustedProxies: settings.MAESTRO_TRUSTED_PROXIES ?? 0,
    rateLimit: settings.MAESTRO_RATE_LIMIT,
    streamLimit: settings.MAESTRO_STREAM_LIMIT,
    port: settings.PORT ?? 4000,
    keepRuns: { days: settings.MAESTRO_KEEP_RUNS_DAYS ?? 30, count: settings.MAESTRO_KEEP_RUNS_COUNT ?? 1_000 },
    personas: settings.MAESTRO_PERSONAS === undefined ? undefined : resolve(cwd, settings.MAESTRO_PERSONAS),
    stuckAfterMs: durationMs(settings.MAESTRO_STUCK_AFTER ?? '10m'),
    maxConversations: settings.MAESTRO_MAX_CONVERSATIONS,
    drainMs: durationMs(settings.MAESTRO_DRAIN_DEADLINE ?? '20s'),
    webhooks: {
      allowPrivate: settings.MAESTRO_WEBHOOK_ALLOW_PRIVATE === '1',
      allowHosts: (settings.MAESTRO_WEBHOOK_ALLOW_HOSTS ?? '').split(',').flatMap((host) => host.trim() || []),
      key: settings.MAESTRO_WEBHOOK_KEY,
    },
    signingKey: {
      file: resolve(cwd, settings.MAESTRO_SIGNING_KEY ?? join(home, 'keys', 'evidence.pem')),
      isOwn: settings.MAESTRO_SIGNING_KEY === undefined,
    },
    anthropic: {
      apiKey: settings.ANTHROPIC_API_KEY,
      authToken: settings.ANTHROPIC_AUTH_TOKEN,
      baseUrl: settings.ANTHROPIC_BASE_URL,
    },
  });
}
