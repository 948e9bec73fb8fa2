import Anthropic, { type Middleware } from '@anthropic-ai/sdk';
import type { Config } from '../../shared/config.ts';
import { FleetError } from '../../shared/errors.ts';
import type { Endpoint } from '../../shared/model-config.ts';
import type { ProviderName } from '../../shared/run-record.ts';

const ANTHROPIC_URL = 'https://api.anthropic.com';

/** Where answers come from. Every call says for itself whether it was simulated; see `CallRecord`. */
export interface ModelProvider {
  name: ProviderName;
  /** True when nothing from here is a real model's work. */
  simulated: boolean;
  /** True when every answer is from a recording. */
  replayed?: boolean;
  /** Host and port of the endpoint, for records. */
  host: string;
  client: Anthropic;
}

/** What the stand-in is sent. Anything else the SDK picks up from the environment stays here. */
const SCRIPTED_HEADERS = /^(accept|authorization|content-type|anthropic-version|user-agent|x-stainless-.*)$/;

const onlyKnownHeaders: Middleware = (request, next) => {
  const unwanted = Array.from(request.headers.keys(), String).filter((name) => !SCRIPTED_HEADERS.test(name));
  for (const name of unwanted) request.headers.delete(name);
  return next(request);
};

/** No retries here: the queue retries, and two layers of retries would multiply. Nothing is printed either. */
const QUIET = { maxRetries: 0, logLevel: 'off', openTelemetry: false, webhookKey: null } as const;

function openScripted(url: string | undefined): ModelProvider {
  if (url === undefined) {
    throw new FleetError('MODEL_UNAVAILABLE', 'the scripted provider was asked for, but its address is not known', {
      remedy: 'Set MAESTRO_SCRIPTED_URL to the address of a running scripted provider.',
    });
  }
  const client = new Anthropic({
    ...QUIET,
    apiKey: 'scripted',
    authToken: null,
    baseURL: url,
    middleware: [onlyKnownHeaders],
  });
  return { name: 'scripted', simulated: true, host: new URL(url).host, client };
}

function openEndpoint({ name, url, keyEnv, key }: Endpoint & { name: string; key: string | undefined }): ModelProvider {
  if (key === undefined) {
    throw new FleetError('MODEL_UNAVAILABLE', `the endpoint "${name}" has no key`, {
      remedy: `Set ${keyEnv} where the worker is started.`,
    });
  }
  const client = new Anthropic({ ...QUIET, apiKey: key, authToken: null, baseURL: url });
  return { name: 'anthropic', simulated: false, host: new URL(url).host, client };
}

/** Opens a recording in the place of a provider: whatever is asked goes to `fetch`, and to no network. */
export function openReplay(of: { fetch: typeof fetch; simulated: boolean; host: string }): ModelProvider {
  const client = new Anthropic({
    ...QUIET,
    apiKey: 'replay',
    authToken: null,
    baseURL: 'http://recording.invalid',
    fetch: of.fetch,
  });
  return { name: 'replay', simulated: of.simulated, replayed: true, host: of.host, client };
}

/** Opens a provider from the configuration alone; never from what happens to be in the environment. */
export function openProvider(options: {
  name: ProviderName;
  config: Pick<Config, 'anthropic' | 'scriptedUrl'>;
  scriptedUrl?: string | undefined;
  /** Where the model stands, if not at the usual place. */
  endpoint?: (Endpoint & { name: string; key: string | undefined }) | undefined;
}): ModelProvider {
  const { config, endpoint } = options;
  if (options.name === 'scripted') return openScripted(options.scriptedUrl ?? config.scriptedUrl);
  if (endpoint !== undefined) return openEndpoint(endpoint);
  const { apiKey, authToken, baseUrl } = config.anthropic;
  if (apiKey === undefined && authToken === undefined) {
    throw new FleetError('MODEL_UNAVAILABLE', 'the provider "anthropic" has no key', {
      remedy: 'Set ANTHROPIC_API_KEY, or use --provider scripted for a simulated run.',
    });
  }
  const baseURL = baseUrl ?? ANTHROPIC_URL;
  const credential = apiKey === undefined ? { apiKey: null, authToken } : { apiKey, authToken: null };
  const client = new Anthropic({ ...QUIET, ...credential, baseURL });
  return { name: 'anthropic', simulated: false, host: new URL(baseURL).host, client };
}
