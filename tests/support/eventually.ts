import { expect } from 'vitest';

/** Asks until the answer is as expected: on a busy machine that takes longer than the second that is given otherwise. */
export const eventually = <T>(read: () => T) => expect.poll(read, { timeout: 20_000 });
