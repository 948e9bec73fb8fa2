import { monitorEventLoopDelay } from 'node:perf_hooks';
import { expect, onTestFinished, test } from 'vitest';
import { MeasuringProcesses } from '../../src/gates/separate/measuring-processes.ts';
import { getJson } from '../../src/shared/blob-store.ts';
import { RoundEvidence } from '../../src/shared/round-evidence.ts';
import { Script } from '../../src/workers/scripted/script-schema.ts';
import { startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { type EndedRun, type SuppliedFleet, startSuppliedFleet } from '../support/supplied-fleet.ts';
import { NOTHING_RUNS, slowDocument } from '../support/slow-document.ts';
import { testRedis } from '../support/test-redis.ts';
import { workflowText } from '../cases/workflow-text.ts';

type Job = Readonly<Record<string, unknown>>;
const writing = (path: string, content: string) => ({ tools: [{ tool: 'write_file', input: { path, content } }] });
const handOff = (more: object = {}) => ({ tools: [{ tool: 'hand_off', input: { summary: 'done', ...more } }] });
const job = (phase: string, persona: string, turns: readonly unknown[], more: Job = {}): Job => ({
  phase,
  persona,
  turns,
  ...more,
});

/** Real persona jobs on the scripted model, and phases that only the edges between them can block. */
async function fleetOf(
  jobs: readonly Job[],
  personas: Readonly<Record<string, string>>,
  processes?: MeasuringProcesses,
): Promise<SuppliedFleet> {
  const server = await startScriptedProvider({ scripts: [Script.parse({ workflow: 'case', jobs })] });
  onTestFinished(() => server.close());
  return startSuppliedFleet(testRedis(), {
    metrics: () => ({}),
    personas,
    model: server.url,
    ...(processes === undefined ? {} : { processes }),
  });
}

/** What was told to a persona first, and what was found in the last round of a phase. */
async function told(fleet: SuppliedFleet, { phases }: EndedRun, phase: string): Promise<string> {
  const refs = Object.values(phases[phase]?.transcripts ?? {});
  return JSON.stringify(await Promise.all(refs.map((ref) => fleet.blobs.get(ref).then(String))));
}
async function findingsOf(fleet: SuppliedFleet, { phases }: EndedRun, phase: string) {
  const evidence = phases[phase]?.rounds.at(-1)?.evidence;
  return evidence === undefined ? [] : (await getJson(fleet.blobs, evidence, RoundEvidence)).findings;
}

const PRD =
  'deliverables: { prd_document: { paths: [prd.md], contains: { lines: [{ what: goals, matching: "^Goal" }] } } }\n';
const API = 'deliverables: { api_specification: { paths: [api.yaml] } }\n';

test('a persona whose needs are not met does not begin, and its phase is blocked by name', async () => {
  const fleet = await fleetOf(
    [job('begin', 'author', [writing('a.md', 'x'), handOff()]), job('build', 'builder', [handOff()])],
    { author: '', analyst: PRD, builder: 'needs: [prd_document]\n' },
  );
  const text = workflowText(
    { begin: [], wish: ['begin'], build: ['wish'] },
    {
      begin: 'policy: none',
      wish: 'persona: analyst, policy: none, if: "1 > 2"',
      build: 'persona: builder, policy: none',
    },
  );
  const ended = await fleet.run(text);
  expect(ended.phases['build']).toMatchObject({ status: 'blocked' });
  expect(ended.phases['build']?.reason).toMatch(
    /NEEDS_UNMET: builder did not begin phase "build": prd_document is not there: no file prd\.md, from wish \(analyst\)/,
  );
  expect(ended.phases['build']?.usage.calls).toBe(0);
  expect(ended.run.status).toBe('blocked');
});

test('what later phases need is asked of the one who makes it, and goes back until it is there', async () => {
  const fleet = await fleetOf(
    [
      job('wish', 'analyst', [writing('prd.md', 'No aim.\n'), handOff()]),
      job('wish', 'analyst', [writing('prd.md', 'Goal: short links.\n'), handOff()], { round: 1 }),
      job('design', 'architect', [writing('api.yaml', 'openapi: 3.1.0\n'), handOff()]),
      job(
        'design',
        'architect',
        [
          writing('more.md', 'x'),
          handOff({ contracts: [{ name: 'api_specification', kind: 'api', file: 'api.yaml' }] }),
        ],
        { round: 1 },
      ),
      job('build', 'builder', [writing('b.js', 'x'), handOff()]),
    ],
    {
      analyst: PRD,
      architect: `needs: [prd_document]\n${API}`,
      builder: 'needs: [api_specification, prd_document]\nbuildsAgainst: [api_specification]\n',
    },
  );
  const ended = await fleet.run(
    workflowText(
      { wish: [], design: ['wish'], build: ['design'] },
      {
        wish: 'persona: analyst, policy: none',
        design: 'persona: architect, policy: none',
        build: 'persona: builder, policy: none',
      },
      'rework: 1',
    ),
  );
  const rounds = (phase: string) => ended.phases[phase]?.rounds.map(({ verdict }) => verdict);
  expect(rounds('wish')?.map(({ verdict }) => verdict)).toEqual(['blocked', 'not_gated']);
  expect(rounds('wish')?.[0]?.errors).toEqual([
    {
      metric: 'handoff_complete',
      reason: 'prd_document is needed by design (architect), build (builder), but prd.md: 0 goals, at least 1 needed',
    },
  ]);
  expect(rounds('design')?.[0]?.errors.map(({ metric }) => metric)).toEqual(['handoff_complete']);
  expect(rounds('design')?.[0]?.errors[0]?.reason).toMatch(/build \(builder\) build against api_specification/);
  expect(ended.phases['build']?.status).toBe('not_gated');
  expect(await told(fleet, ended, 'design')).toContain('api_specification: build (builder), who build against it');
  const build = await told(fleet, ended, 'build');
  expect(build).toContain('prd_document: prd.md, wish (analyst)');
  expect(build).toContain('api_specification (api) in api.yaml');
});

test('what two phases changed at the same time is told to the one after them; what it may not do is refused and told', async () => {
  const lines = Array.from({ length: 40 }, (_, index) => `line ${index}`);
  const text = (line: number, by: string): string => `${lines.with(line, by).join('\n')}\n`;
  const fleet = await fleetOf(
    [
      job('begin', 'author', [writing('same.md', text(20, 'begun')), handOff()]),
      job('left', 'author', [writing('same.md', text(1, 'left').replace('line 20', 'begun')), handOff()]),
      job('right', 'other', [writing('same.md', text(38, 'right').replace('line 20', 'begun')), handOff()]),
      job('join', 'author', [
        { tools: [{ tool: 'shell', input: { command: 'id' } }] },
        writing('../outside.md', 'x'),
        writing('c.md', 'x'),
        handOff(),
      ]),
    ],
    { author: '', other: '' },
  );
  const ended = await fleet.run(
    workflowText(
      { begin: [], left: ['begin'], right: ['begin'], join: ['left', 'right'] },
      Object.fromEntries(
        ['begin', 'left', 'right', 'join'].map((name) => [
          name,
          `persona: ${name === 'right' ? 'other' : 'author'}, policy: none`,
        ]),
      ),
    ),
  );
  const findings = await findingsOf(fleet, ended, 'join');
  const shared = findings.filter(({ rule }) => rule === 'merge/same-file');
  expect(shared).toMatchObject([{ severity: 'warning', file: 'same.md', persona: 'author' }]);
  expect(shared[0]?.message).toMatch(/^same\.md was changed by left \(author\) and right \(other\) at the same time/);
  expect(await told(fleet, ended, 'join')).toContain('Changed by two phases before this one');
  const refused = findings.filter(({ rule }) => rule === 'tools/refused').map(({ message }) => message);
  expect(refused.map((message) => /"(\w+)"/.exec(message)?.[1])).toEqual(['shell', 'write_file']);
  const events = ended.events.filter((event) => event.type === 'persona.refused' || event.type === 'files.shared');
  expect(events).toMatchObject([
    { type: 'persona.refused', phase: 'join', persona: 'author', tools: ['shell', 'write_file'] },
    { type: 'files.shared', phase: 'join', files: [{ file: 'same.md', merged: true }] },
  ]);
});

test('a document that takes long to parse holds up no conversation: it is read elsewhere, and in time or not at all', async () => {
  const processes = new MeasuringProcesses(NOTHING_RUNS, { readMs: 200 });
  onTestFinished(() => processes.close());
  const fleet = await fleetOf(
    [job('wish', 'analyst', [writing('prd.md', slowDocument(2_800)), handOff()])],
    {
      analyst: 'deliverables: { prd_document: { paths: [prd.md], contains: { sections: [Goals] } } }\n',
      builder: 'needs: [prd_document]\n',
    },
    processes,
  );
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const ended = await fleet.run(
    workflowText(
      { wish: [], build: ['wish'] },
      { wish: 'persona: analyst, policy: none', build: 'persona: builder, policy: none' },
    ),
  );
  delay.disable();
  expect(ended.phases['wish']?.status).toBe('blocked');
  expect(ended.phases['wish']?.reason).toContain('prd.md cannot be read: that takes more than 0.2 s');
  expect(delay.max / 1e6).toBeLessThan(1_000);
});
