import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { exportRun } from '../../src/producer/export-run.ts';
import { gatherCassette } from '../../src/producer/recorded-run.ts';
import { runCosts } from '../../src/producer/cost-report.ts';
import { putJson } from '../../src/shared/blob-store.ts';
import { Cassette } from '../../src/shared/cassette.ts';
import { git } from '../../src/shared/git.ts';
import { Script } from '../../src/workers/scripted/script-schema.ts';
import { type Interference, startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { looksReal } from '../support/real-looking.ts';
import { type EndedRun, type SuppliedFleet, startSuppliedFleet } from '../support/supplied-fleet.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';

const KEY = 'a-key-for-tests';
const LOOKS_LIKE_ONE = 'sk-ant-api03-abcdefghijklmnop';
const write = (path: string, content = path) => ({ tools: [{ tool: 'write_file', input: { path, content } }] });
const list = { tools: [{ tool: 'list_files', input: {} }] };
const done = { tools: [{ tool: 'hand_off', input: { summary: 'done' } }] };

const WORKFLOW = `apiVersion: maestro/v1
name: taped
defaults: { model: claude-sonnet, attempts: 3, rework: 0 }
phases:
  begin: { persona: author, policy: none }
  left: { needs: [begin], persona: author, policy: none }
  right: { needs: [begin], persona: author, policy: none }
  end: { needs: [left, right], persona: author, policy: none }
`;
const jobsWith = (secret: string) => ({
  begin: [write('begin.txt', `not for others: ${secret}`), list, done],
  left: [write('left.txt'), { ...list, delay_ms: 30 }, done],
  right: [{ ...write('right.txt'), delay_ms: 60 }, list, done],
  end: [list, write('end.txt'), done],
});

async function recorded(options: { isPaid?: boolean; faults?: Record<number, Interference> } = {}) {
  const { isPaid = false } = options;
  const content = jobsWith(isPaid ? `${KEY} ${LOOKS_LIKE_ONE}` : 'nothing');
  const jobs = Object.entries(content).map(([phase, turns]) => ({ phase, persona: 'author', turns }));
  const scripts = [Script.parse({ workflow: 'taped', jobs })];
  const provider = await startScriptedProvider({ scripts, interfere: ({ nth }) => options.faults?.[nth] });
  onTestFinished(() => provider.close());
  const model = isPaid ? await looksReal(provider.url) : provider.url;
  const fleet = await startSuppliedFleet(testRedis(), { metrics: () => ({}), model, isPaid });
  const first = await fleet.run(WORKFLOW, { isRecorded: true });
  expect(first.run.status).toBe('passed_with_warnings');
  const cassette = await gatherCassette({ ...fleet, prefix: fleet.at.prefix }, first.plan);
  // From here on there is nobody to ask.
  await provider.close();
  return { fleet, first, provider, cassette };
}

async function replay(fleet: SuppliedFleet, cassette: Cassette, workflow = WORKFLOW): Promise<EndedRun> {
  const ref = await putJson(fleet.blobs, Cassette.parse(JSON.parse(JSON.stringify(cassette))));
  const { provider, simulated, scripted } = cassette;
  return fleet.run(workflow, { provider: 'replay', scripted, cassette: { ref, provider, simulated } });
}

async function filesOf({ blobs, store }: SuppliedFleet, { plan }: EndedRun): Promise<string> {
  const at = await tempFolder();
  const { repository } = await exportRun({
    blobs,
    store,
    runId: plan.runId,
    dir: `${at}/out`,
    scratch: `${at}/scratch`,
  });
  return (
    await git({ gitDir: join(repository ?? '', '.git'), workTree: repository ?? '' }, ['ls-tree', '-r', 'HEAD'])
  ).trim();
}

describe('a recorded run', () => {
  test('is played again offline, with what went wrong, and says that it is a replay', async () => {
    const { fleet, first, provider, cassette } = await recorded({
      faults: {
        1: { fault: { status: 529, type: 'overloaded_error', retry_after_s: 1 } },
        4: { fault: { mid_stream: 'cut' } },
        7: { fault: { status: 500, type: 'api_error' } },
      },
    });
    expect(cassette).toMatchObject({ provider: 'scripted', simulated: true, workflow: 'taped' });
    expect(cassette.recordings).toHaveLength(provider.requests);
    const asked = provider.requests;
    const again = await replay(fleet, cassette);
    expect(again.run).toMatchObject({ status: first.run.status, provider: 'replay', replayed: true, simulated: true });
    expect(provider.requests).toBe(asked);
    expect(await filesOf(fleet, again)).toBe(await filesOf(fleet, first));
    for (const { phase, usage } of Object.values(again.phases)) expect(usage).toEqual(first.phases[phase]?.usage);
    const costs = await runCosts({ ...fleet, prefix: fleet.at.prefix, models: fleet.models }, again.plan.runId);
    expect(costs).toMatchObject({ replayed: true, simulated: true, totals: { micros: 0, failedCalls: 2 } });
    expect(costs.calls.every((call) => call.replayed)).toBe(true);
    const [ref] = Object.values(again.phases['left']?.transcripts ?? {});
    const transcript = ref === undefined ? '' : Buffer.from(await fleet.blobs.get(ref)).toString();
    expect(transcript).toContain('"replayed":true');
  });

  test('of a real model is replayed as such, costs nothing, and holds no key', async () => {
    const { fleet, cassette } = await recorded({ isPaid: true });
    const text = JSON.stringify(cassette);
    expect(text.split('[redacted] [redacted]').length).toBeGreaterThan(1);
    expect(text).not.toContain(KEY);
    expect(text).not.toContain(LOOKS_LIKE_ONE);
    expect(text.toLowerCase()).not.toMatch(/x-api-key|authorization|bearer/);
    const again = await replay(fleet, cassette);
    expect(again.run).toMatchObject({ status: 'passed_with_warnings', replayed: true, simulated: false });
    expect(again.run.usage.costUsd).toBe(0);
  });

  test('that lacks a request ends the replay at once and names what is different', async () => {
    const { fleet, cassette } = await recorded();
    const other = WORKFLOW.replace(
      'begin: { persona: author,',
      'begin: { persona: author, description: "Something else.",',
    );
    const changed = await replay(fleet, cassette, other);
    expect(changed.run.status).toBe('failed');
    expect(changed.phases['begin']).toMatchObject({ faults: 1 });
    expect(changed.run.reason).toMatch(
      /NOT_RECORDED: the recording of run \w+ does not hold this request: message 1 of begin\/author work round 0 is another: recorded ".*asked ".*Something else/,
    );
    const short = {
      ...cassette,
      recordings: cassette.recordings.filter(({ request }) => !request.conversation.startsWith('left')),
    };
    const lacking = await replay(fleet, short);
    expect(lacking.phases['right']?.status).toBe('not_gated');
    expect(lacking.phases['left']?.reason).toContain('it holds nothing of left/author work round 0');
  });
});
