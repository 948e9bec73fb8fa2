import { startPage } from './page.js';

await startPage({
  document: globalThis.document,
  fetch: (...request) => globalThis.fetch(...request),
  copy: (text) => globalThis.navigator.clipboard.writeText(text),
});
