import { startPage } from './page.js';

await startPage({
  document: globalThis.document,
  fetch: globalThis.fetch.bind(globalThis),
  copy: (text) => globalThis.navigator.clipboard.writeText(text),
});
