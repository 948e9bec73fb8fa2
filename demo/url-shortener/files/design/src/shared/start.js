/**
 * `npm start`: the service with its page. In a checkout that has no service yet, or with `--preview`, the page alone.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startPreview } from './preview-server.js';
import { readSettings } from './settings.js';

const serviceModule = new URL('../backend/service.js', import.meta.url);
const isPreview = process.argv.includes('--preview') || !existsSync(fileURLToPath(serviceModule));
const settings = readSettings(process.env);

const host = isPreview ? await startPreview(settings) : await (await import(serviceModule.href)).startService(settings);
process.stdout.write(`${isPreview ? 'Preview of the page' : 'URL shortener'} on ${host.url}\n`);

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void host.stop());
