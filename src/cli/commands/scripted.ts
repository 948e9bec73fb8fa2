import { once } from 'node:events';
import { resolve } from 'node:path';
import { EXIT } from '../../shared/errors.ts';
import { packagePath } from '../../shared/package-root.ts';
import { loadScript, loadScripts } from '../../workers/scripted/load-script.ts';
import { startScriptedProvider } from '../../workers/scripted/server.ts';
import type { CommandContext } from '../session.ts';
import { count } from '../text.ts';

export interface ScriptedFlags {
  script: string[];
  host: string;
  port: number;
  latency: number;
  requestsPerMinute?: number;
  inputTokensPerMinute?: number;
  outputTokensPerMinute?: number;
  json?: boolean;
}

/** `maestro scripted`: the stand-in for a model as a process of its own, playing your scripts or those that ship. */
export async function scriptedCommand(context: CommandContext, flags: ScriptedFlags): Promise<number> {
  const { terminal, cwd, signal } = context;
  const scripts =
    flags.script.length === 0
      ? await loadScripts(packagePath('demo'))
      : await Promise.all(flags.script.map((file) => loadScript(resolve(cwd, file))));
  const { requestsPerMinute, inputTokensPerMinute, outputTokensPerMinute } = flags;
  const server = await startScriptedProvider({
    scripts,
    host: flags.host,
    port: flags.port,
    latencyMs: flags.latency,
    limits: {
      ...(requestsPerMinute === undefined ? {} : { requestsPerMinute }),
      ...(inputTokensPerMinute === undefined ? {} : { inputTokensPerMinute }),
      ...(outputTokensPerMinute === undefined ? {} : { outputTokensPerMinute }),
    },
  });
  try {
    terminal.err(`scripted provider at ${server.url}, until Ctrl-C; simulated: no model is asked`);
    for (const { workflow, jobs } of scripts)
      terminal.err(`  plays ${workflow}: ${count(jobs.length, 'conversation')}`);
    terminal.err(`start workers with MAESTRO_SCRIPTED_URL=${server.url}`);
    if (!signal.aborted) await once(signal, 'abort');
  } finally {
    await server.close();
  }
  if (flags.json === true) terminal.out(JSON.stringify({ url: server.url, charges: server.ledger }, null, 2));
  else terminal.err(`${count(server.requests, 'request')}, ${count(server.ledger.length, 'answer')} begun`);
  return EXIT.passed;
}
