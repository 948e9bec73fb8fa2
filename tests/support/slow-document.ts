import type { SandboxSettings } from '../../src/shared/sandbox/sandbox-settings.ts';

/** Markdown that takes its parser long: 2,800 times some four seconds, 18,000 times minutes. */
export const slowDocument = (times: number): string =>
  '# A\n\nword *x* [l](http://a) and `c`\n\n- a\n- b\n\n'.repeat(times);

/** For processes that read and run nothing. */
export const NOTHING_RUNS: SandboxSettings = {
  direct: { kind: 'off', description: 'none', prlimit: 'none', setpriv: 'none', uid: undefined },
};
