import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { loadRunSources } from '../../src/producer/definitions-builder.ts';
import { packagePath } from '../../src/shared/package-root.ts';
import { readConfig } from '../../src/shared/config.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { openSandbox } from '../../src/shared/sandbox/open-sandbox.ts';
import { type Fleet, startFleet } from '../../src/workers/fleet.ts';
import { Script } from '../../src/workers/scripted/script-schema.ts';
import { startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { DefinitionsCache } from '../../src/workers/worker-context.ts';
import { HeldTurns } from '../support/held-turns.ts';
import { RUN_CHECKS, check, overlayOf, policyOf } from '../support/small-project.ts';
import { HAND_OFF } from '../workers/agent-support.ts';
import { fixtureRoot } from './fixture.ts';
import { openViewer } from './open-viewer.ts';

/** Of a length that pages have to put up with. */
export const GUIDE = 'write-the-guide-for-people-who-have-never-seen-the-service';

const WORKFLOW = `apiVersion: maestro/v1
name: adder
description: Plans a small program, builds it with its checks, and writes its guide.
inputs:
  requirement: { type: string, description: "What is to be built, in plain words.", minLength: 10, maxLength: 2000 }
  audience: { type: string, description: Who reads the guide., enum: [team, public], default: team }
  largest_number: { type: number, description: The largest number that has to be added., minimum: 1, optional: true }
  with_examples: { type: boolean, description: Whether the guide shows examples., default: true }
defaults: { attempts: 1, rework: 0 }
budget: { usd: 2, tokens: 500000 }
phases:
  plan: { persona: planner, policy: none, approval: { role: stakeholder } }
  build: { needs: [plan], persona: builder, policy: custom_component }
  ${GUIDE}: { needs: [build], persona: writer, policy: none }
`;

const PLAN = '# Plan\n\nOne script adds two numbers.\n\n## Checks\n\n- small numbers\n- large numbers\n';
const PROGRAM = `#!/bin/sh
# Adds two numbers.
if [ "$#" -ne 2 ]; then
  echo "usage: add.sh LEFT RIGHT" >&2
  exit 2
fi
echo $(( $1 + $2 ))
`;

const writes = (path: string, content: string) => ({ tool: 'write_file', input: { path, content } });
const QUESTION = {
  question: 'Which shell should the program be written for? Both are on the machines of the team.',
  options: ['POSIX sh', 'bash'],
};
const SCRIPT = Script.parse({
  workflow: 'adder',
  jobs: [
    {
      phase: 'plan',
      persona: 'planner',
      turns: [
        { say: 'First I write down what is to be done.', tools: [writes('docs/plan.md', PLAN)] },
        { tools: [{ tool: 'ask_human', input: QUESTION }] },
        { tools: [HAND_OFF] },
      ],
    },
    {
      phase: 'build',
      persona: 'builder',
      turns: [
        { tools: [writes('src/add.sh', PROGRAM), writes('checks/small.sh', check(2, 3, 5))] },
        { tools: [HAND_OFF] },
      ],
    },
    {
      phase: GUIDE,
      persona: 'writer',
      turns: [
        {
          tools: [writes('docs/guide.md', '# Guide\n\n`sh src/add.sh 2 3` prints 5.\n')],
          fault: {
            status: 400,
            type: 'invalid_request_error',
            message: 'The writer cannot be asked.',
            only_first: true,
          },
        },
        { tools: [HAND_OFF] },
      ],
    },
  ],
});

const persona = (name: string, tools: string): string =>
  `apiVersion: maestro/v1\nname: ${name}\nrole: ${name}\ntools: [${tools}]\nprompt: A persona of the tests, which does what a script says.\n`;

/** Personas, a policy whose one gate runs the checks of the project in the sandbox, and the models that ship. */
async function definitions(root: string) {
  const personas = join(root, 'live-personas');
  const policies = join(root, 'live-policies');
  const overlay = join(root, 'maestro.policies.yaml');
  for (const folder of [personas, policies]) await mkdir(folder);
  for (const [name, tools] of [
    ['planner', 'write_file, ask_human'],
    ['builder', 'write_file'],
    ['writer', 'write_file'],
  ] as const)
    await writeFile(join(personas, `${name}.yaml`), persona(name, tools));
  await writeFile(join(policies, 'phase_slos.yaml'), policyOf({ tests_pass: 'test_pass_rate >= 1' }).text);
  await writeFile(overlay, overlayOf(['sh', '-c', RUN_CHECKS, 'sh', '{out}/junit.xml']).text);
  const models = packagePath('config', 'models.yaml');
  return loadRunSources({ personas, policies, models, overlay: { file: overlay, isRequired: true } });
}

/**
 * The service with its pages and a browser, and a worker with real persona and gate jobs, sandbox and git, whose model is
 * the scripted provider: everything of a run is there, and its answers wait for the test.
 */
export async function openLiveFleet() {
  const root = await fixtureRoot({ adder: WORKFLOW });
  const viewer = await openViewer({ packageRoot: root, sources: await definitions(root) });
  const turns = new HeldTurns();
  const started: { fleet?: Fleet } = {};
  const ends: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    const provider = await startScriptedProvider({ scripts: [SCRIPT], interfere: turns.interfere });
    const read = readConfig({ MAESTRO_HOME: join(root, 'home') }, '/');
    const config = { ...read, prefix: viewer.prefix, scriptedUrl: provider.url };
    const { redis, store, blobs, at } = viewer;
    const sandbox = await openSandbox({ mode: 'auto', cache: config.cache, logger: silentLogger() });
    const models = { apiVersion: 'maestro/v1' as const, aliases: {}, prices: {} };
    const shared = { config, redis, redisUrl: at.url, store, blobs, sandbox, models, logger: silentLogger() };
    const fleet = await startFleet(
      { ...shared, definitions: new DefinitionsCache(blobs) },
      { personas: ['planner', 'builder', 'writer'], gates: true, concurrency: 2 },
    );
    started.fleet = fleet;
    ends.push(
      () => fleet.close(5_000),
      () => provider.close(),
    );
  });
  afterAll(async () => {
    turns.letAllGo();
    for (const end of ends) await end();
  });
  return {
    ...viewer,
    turns,
    /** Conversations and jobs that the worker has in hand now. */
    load: () => started.fleet?.load(),
  };
}
