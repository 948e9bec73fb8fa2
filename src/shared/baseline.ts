import { z } from 'zod';
import type { Redis } from './redis.ts';

/** What relative criteria are compared with: the values of the last run that passed, each with where it was measured. */
export const Baseline = z.strictObject({
  schemaVersion: z.literal(1),
  /** `run 01...`, or the file it was read from. */
  source: z.string(),
  phase: z.string(),
  policy: z.string(),
  /** Hash of the files that were measured, where it is known. */
  tree: z.string(),
  at: z.string(),
  simulated: z.boolean(),
  values: z.record(z.string(), z.strictObject({ value: z.number(), source: z.string() })),
});
export type Baseline = z.infer<typeof Baseline>;

/** KEYS: baselines. ARGV: value expected ('' for none) and value to set, in turn. All of them are written, or none. */
const REPLACE = `
for i = 1, #KEYS do
  if (redis.call('GET', KEYS[i]) or '') ~= ARGV[2 * i - 1] then return 'CHANGED' end
end
for i = 1, #KEYS do redis.call('SET', KEYS[i], ARGV[2 * i]) end
return 'OK'
`;

/** The last passed run of every workflow and phase. What a script played is kept apart and never measures real work. */
export class BaselineStore {
  readonly #redis: Redis;
  readonly #prefix: string;

  constructor(redis: Redis, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
  }

  #key(workflow: string, phase: string, isSimulated: boolean): string {
    return `${this.#prefix}:maestro:baseline:${workflow}:${phase}${isSimulated ? ':simulated' : ''}`;
  }

  async find(workflow: string, phase: string, isSimulated: boolean): Promise<Baseline | null> {
    const text = await this.#redis.get(this.#key(workflow, phase, isSimulated));
    return text === null ? null : Baseline.parse(JSON.parse(text));
  }

  /** Replaces the baselines of several phases in one step. `next` returns null to leave one as it is. */
  async replace(
    workflow: string,
    isSimulated: boolean,
    phases: readonly string[],
    next: (phase: string, before: Baseline | null) => Baseline | null,
  ): Promise<void> {
    for (;;) {
      const changes = await Promise.all(
        phases.map(async (phase) => {
          const key = this.#key(workflow, phase, isSimulated);
          const text = await this.#redis.get(key);
          const after = next(phase, text === null ? null : Baseline.parse(JSON.parse(text)));
          return after === null ? [] : [{ key, before: text ?? '', after: JSON.stringify(Baseline.parse(after)) }];
        }),
      );
      const writes = changes.flat();
      if (writes.length === 0) return;
      const reply = await this.#redis.eval(
        REPLACE,
        writes.length,
        ...writes.map((write) => write.key),
        ...writes.flatMap((write) => [write.before, write.after]),
      );
      if (reply === 'OK') return;
    }
  }
}
