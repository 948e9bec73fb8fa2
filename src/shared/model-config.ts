import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { FleetError, InvalidInputError, type Problem, errorMessage } from './errors.ts';
import type { Usage } from './run-record.ts';
import { Budget, Duration, durationMs } from './workflow-schema.ts';
import { parseYaml } from './yaml-file.ts';

const Dollars = z.number().nonnegative();

/** US dollars per million tokens, as somebody read them on the given day. */
export const Price = z.strictObject({
  asOf: z.iso.date(),
  input: Dollars,
  output: Dollars,
  cacheWrite: Dollars,
  cacheRead: Dollars,
});
export type Price = z.infer<typeof Price>;

const PerMinute = z.number().int().positive().optional();

/** What may be asked of a model in a minute, by the whole fleet at each endpoint. */
export const RateLimits = z.strictObject({
  requestsPerMinute: PerMinute,
  inputTokensPerMinute: PerMinute,
  outputTokensPerMinute: PerMinute,
  tokensPerMinute: PerMinute,
});
export type RateLimits = z.infer<typeof RateLimits>;

/** A server that speaks the Messages API. Its key stands in the environment, here only the name that it has there. */
export const Endpoint = z.strictObject({
  url: z.url({ protocol: /^https?$/ }),
  keyEnv: z.string().regex(/^[A-Z][A-Z0-9_]*$/, 'write the NAME of the environment variable that holds the key'),
  models: z.array(z.string()).min(1),
});
export type Endpoint = z.infer<typeof Endpoint>;

/** `config/models.yaml`: which models there are, what they are called in workflows, what they cost. */
export const ModelConfig = z.strictObject({
  apiVersion: z.literal('maestro/v1'),
  aliases: z.record(z.string(), z.string()),
  /** Every model that may be used. A null price means that its cost is not known. */
  prices: z.record(z.string(), Price.nullable()),
  /** Lower than what the provider tells; without them only what it tells counts. */
  limits: z.record(z.string(), RateLimits).optional(),
  /** What the whole fleet may spend. */
  budgets: z.strictObject({ perDay: Budget.optional() }).optional(),
  /** Endpoints other than ANTHROPIC_BASE_URL. A model stands at one; those that none names are asked at the usual one. */
  endpoints: z.record(z.string().regex(/^[a-z][a-z0-9_-]*$/), Endpoint).optional(),
  /** How many tokens a model takes in, prompt and answer together, where that is not 200,000. */
  contextTokens: z.record(z.string(), z.number().int().min(1_000)).optional(),
  /** A job that has to wait longer for its turn gives its worker back. */
  parkAfter: Duration.optional(),
  /** A conversation whose calls fail for so long, with no answer between them, gives up. */
  outageLimit: Duration.optional(),
});
export type ModelConfig = z.infer<typeof ModelConfig>;

export async function loadModelConfig(file: string): Promise<ModelConfig> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (err) {
    throw new FleetError('NOT_FOUND', `the model file ${file} cannot be read: ${errorMessage(err)}`, { cause: err });
  }
  return parseModelConfig(text, file);
}

/** Reads and checks the text of a model file; `file` is its name in messages. */
export function parseModelConfig(text: string, file: string): ModelConfig {
  const { value, positionOf } = parseYaml(ModelConfig, { file, text });
  const problems = Object.entries(value.aliases).flatMap(([alias, model]) => [
    ...(Object.hasOwn(value.prices, model)
      ? []
      : [
          {
            ...positionOf(['aliases', alias]),
            message: `aliases.${alias}: "${model}" is not listed under prices (null means unknown)`,
          },
        ]),
    ...(Object.hasOwn(value.prices, alias)
      ? [{ ...positionOf(['aliases', alias], 'key'), message: `aliases.${alias}: this is also the name of a model` }]
      : []),
  ]);
  const unlisted = Object.keys(value.limits ?? {}).filter((model) => !Object.hasOwn(value.prices, model));
  problems.push(
    ...unlisted.map((model) => ({
      ...positionOf(['limits', model], 'key'),
      message: `limits.${model}: this model is not listed under prices (null means unknown)`,
    })),
  );
  const unknown = Object.keys(value.contextTokens ?? {}).filter((model) => !Object.hasOwn(value.prices, model));
  problems.push(
    ...unknown.map((model) => ({
      ...positionOf(['contextTokens', model], 'key'),
      message: `contextTokens.${model}: this model is not listed under prices (null means unknown)`,
    })),
  );
  problems.push(...endpointProblems(value, positionOf));
  if (problems.length > 0) throw new InvalidInputError(file, problems);
  return value;
}

function endpointProblems(
  { endpoints = {}, prices }: ModelConfig,
  positionOf: (path: readonly PropertyKey[]) => Omit<Problem, 'message'>,
): Problem[] {
  const seen = new Map<string, string>();
  return Object.entries(endpoints).flatMap(([name, { models }]) =>
    models.flatMap((model, index) => {
      const other = seen.get(model);
      seen.set(model, name);
      const refuse = (message: string): Problem[] => [
        { ...positionOf(['endpoints', name, 'models', index]), message: `endpoints.${name}: ${message}` },
      ];
      if (other !== undefined) return refuse(`${model} stands at the endpoint ${other} already`);
      return Object.hasOwn(prices, model) ? [] : refuse(`${model} is not listed under prices (null means unknown)`);
    }),
  );
}

/** The endpoint that a model stands at; none when it is asked at the usual one. */
export function endpointOf(config: ModelConfig, model: string): (Endpoint & { name: string }) | undefined {
  const found = Object.entries(config.endpoints ?? {}).find(([, { models }]) => models.includes(model));
  return found === undefined ? undefined : { name: found[0], ...found[1] };
}

/** The keys of the endpoints, by the name of the variable that holds each; read once, when a worker starts. */
export const endpointKeys = (config: ModelConfig, env: NodeJS.ProcessEnv): Record<string, string> =>
  Object.fromEntries(
    Object.values(config.endpoints ?? {}).flatMap(({ keyEnv }) => {
      const key = env[keyEnv];
      return key === undefined || key === '' ? [] : [[keyEnv, key]];
    }),
  );

/** Alias -> model id, with every model also answering to its own id. */
export const modelNames = (config: ModelConfig): Record<string, string> => ({
  ...Object.fromEntries(Object.keys(config.prices).map((model) => [model, model])),
  ...config.aliases,
});

/** The price of a model, or null when nobody has filled it in. */
export const priceOf = (config: ModelConfig, model: string): Price | null =>
  (Object.hasOwn(config.prices, model) ? config.prices[model] : undefined) ?? null;

/** What is configured for a model; nothing when nobody has. */
export const limitsOf = (config: ModelConfig, model: string): RateLimits =>
  (config.limits !== undefined && Object.hasOwn(config.limits, model) ? config.limits[model] : undefined) ?? {};

/** What a model takes in when nobody has said otherwise. */
export const DEFAULT_CONTEXT_TOKENS = 200_000;

/** How many tokens a model takes in, prompt and answer together. */
export const contextTokensOf = (config: ModelConfig, model: string): number =>
  (config.contextTokens !== undefined && Object.hasOwn(config.contextTokens, model)
    ? config.contextTokens[model]
    : undefined) ?? DEFAULT_CONTEXT_TOKENS;

/** How long a job may wait for its turn with its worker. */
export const parkAfterMs = (config: ModelConfig): number => durationMs(config.parkAfter ?? '30s');

/** How long a conversation waits for an endpoint that does not answer. */
export const outageLimitMs = (config: ModelConfig): number => durationMs(config.outageLimit ?? '15m');

/** What some tokens cost in US dollars; null when the price is unknown. No tokens cost nothing at any price. */
export function costOf(
  usage: Pick<Usage, 'inputTokens' | 'outputTokens' | 'cacheReadTokens' | 'cacheWriteTokens'>,
  price: Price | null,
): number | null {
  const { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens } = usage;
  if (inputTokens + outputTokens + cacheReadTokens + cacheWriteTokens === 0) return 0;
  if (price === null) return null;
  return (
    (inputTokens * price.input +
      outputTokens * price.output +
      cacheReadTokens * price.cacheRead +
      cacheWriteTokens * price.cacheWrite) /
    1_000_000
  );
}
