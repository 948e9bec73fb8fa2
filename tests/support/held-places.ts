import type { Concurrency } from '../../src/shared/workflow-schema.ts';

/** Who holds places in groups just now, as the work itself sees it: independent of what the groups know of themselves. */
export class HeldPlaces {
  readonly problems: string[] = [];
  readonly #held = new Map<string, Set<string>>();
  readonly #most = new Map<string, number>();

  /** Work of the holder begins; that it had begun already changes nothing. */
  enter({ group, limit }: Concurrency, holder: string): void {
    const held = this.#held.get(group) ?? new Set();
    this.#held.set(group, held.add(holder));
    this.#most.set(group, Math.max(this.most(group), held.size));
    if (held.size > limit) this.problems.push(`${[...held].join(', ')} hold places in ${group} at once: ${limit} may`);
  }

  leave({ group }: Concurrency, holder: string): void {
    this.#held.get(group)?.delete(holder);
  }

  /** The most that held places in the group at the same time. */
  most(group: string): number {
    return this.#most.get(group) ?? 0;
  }
}
