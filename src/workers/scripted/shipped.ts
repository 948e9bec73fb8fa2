import { packagePath } from '../../shared/package-root.ts';
import { loadScripts } from './load-script.ts';
import { type ScriptedProvider, startScriptedProvider } from './server.ts';

/** Starts the stand-in on a free loopback port with every script that ships. */
export async function startShippedScripts(): Promise<ScriptedProvider> {
  return startScriptedProvider({ scripts: await loadScripts(packagePath('demo')) });
}

/** The scenarios that are scripted for a workflow. */
export async function shippedScenarios(workflow: string): Promise<string[]> {
  const scripts = (await loadScripts(packagePath('demo'))).filter((script) => script.workflow === workflow);
  return [...new Set(scripts.flatMap((script) => script.jobs.map((job) => job.scenario)))].toSorted();
}
