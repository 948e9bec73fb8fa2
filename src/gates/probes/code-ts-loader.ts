import { register } from 'node:module';

/** Lets `node --test` run TypeScript on Node 20. */
register('./code-ts-hooks.js', import.meta.url);
