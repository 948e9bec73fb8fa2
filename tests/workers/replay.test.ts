import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { exportRun } from '../../src/producer/export-run.ts';
import { gatherCassette } from '../../src/producer/recorded-run.ts';
import { getJson, putJson } from '../../src/shared/blob-store.ts';
import { Cassette } from '../../src/shared/cassette.ts';
import { git } from '../../src/shared/git.ts';
import { RoundEvidence } from '../../src/shared/round-evidence.ts';
import { newCheckpoint } from '../../src/workers/agent/checkpoint.ts';
import { sayNewFolder } from '../../src/workers/agent/new-folder.ts';
import { describeRequest, fingerprintOf } from '../../src/workers/models/fingerprint.ts';
import { Script } from '../../src/workers/scripted/script-schema.ts';
import { type Interference, startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { recordedCosts } from '../support/recorded-costs.ts';
import { looksReal } from '../support/real-looking.ts';
import { type EndedRun, type SuppliedFleet, startSuppliedFleet } from '../support/supplied-fleet.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';

const KEY = 'a-key-for-tests';
const LOOKS_LIKE_ONE = 'sk-ant-api03-abcdefghijklmnop';
const write = (path: string, content = path) => ({ tools: [{ tool: 'write_file', input: { path, content } }] });
const list = { tools: [{ tool: 'list_files', input: {} }] };
const done = { tools: [{ tool: 'hand_off', input: { summary: 'done' } }] };

const workflow = (phases: string): string => `apiVersion: maestro/v1
name: taped
defaults: { model: claude-sonnet, attempts: 3, rework: 0 }
phases:
${phases}`;
const phase = (name: string, more = ''): string => `  ${name}: { persona: author, policy: none${more} }\n`;

interface Recording {
  jobs: Readonly<Record<string, readonly object[]>>;
  phases: string;
  isPaid?: boolean;
  faults?: Record<number, Interference>;
}

async function recorded({ jobs, phases, isPaid = false, faults = {} }: Recording) {
  const played = Object.entries(jobs).map(([name, turns]) => ({ phase: name, persona: 'author', turns }));
  const scripts = [Script.parse({ workflow: 'taped', jobs: played })];
  const provider = await startScriptedProvider({ scripts, interfere: ({ nth }) => faults[nth] });
  onTestFinished(() => provider.close());
  const model = isPaid ? await looksReal(provider.url) : provider.url;
  const fleet = await startSuppliedFleet(testRedis(), { metrics: () => ({}), model, isPaid });
  const first = await fleet.run(workflow(phases), { isRecorded: true });
  expect(first.run.status).toBe('passed_with_warnings');
  const cassette = await gatherCassette({ ...fleet, prefix: fleet.at.prefix }, first.plan);
  // From here on there is nobody to ask.
  await provider.close();
  return { fleet, first, provider, cassette };
}

async function replay(fleet: SuppliedFleet, cassette: Cassette, phases: string): Promise<EndedRun> {
  const ref = await putJson(fleet.blobs, Cassette.parse(JSON.parse(JSON.stringify(cassette))));
  const { provider, simulated, scripted } = cassette;
  return fleet.run(workflow(phases), { provider: 'replay', scripted, cassette: { ref, provider, simulated } });
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

/** What the rounds of a run say of where its answers came from: verdicts, and the evidence that they rest on. */
async function originsOf({ blobs }: SuppliedFleet, { phases }: EndedRun) {
  const rounds = Object.values(phases).flatMap((record) => record.rounds);
  const evidence = await Promise.all(rounds.map((round) => getJson(blobs, round.evidence, RoundEvidence)));
  return [...rounds.map(({ verdict }) => verdict.replayed), ...evidence.map(({ replayed }) => replayed)];
}

describe('a recorded run', () => {
  test('is played again offline, with what went wrong, and says that it is a replay', async () => {
    const phases = phase('left') + phase('right') + phase('end', ', needs: [left, right]');
    const { fleet, first, provider, cassette } = await recorded({
      phases,
      jobs: {
        left: [write('left.txt'), { ...list, delay_ms: 30 }, done],
        right: [{ ...write('right.txt'), delay_ms: 60 }, done],
        end: [list, write('end.txt'), done],
      },
      // Each job is to fail once at most: the second wait for another attempt takes seconds.
      faults: {
        1: { fault: { status: 529, type: 'overloaded_error', retry_after_s: 0 } },
        2: { fault: { mid_stream: 'cut' } },
        8: { fault: { status: 500, type: 'api_error' } },
      },
    });
    expect(cassette).toMatchObject({ provider: 'scripted', simulated: true, workflow: 'taped' });
    expect(cassette.recordings).toHaveLength(provider.requests);
    const asked = provider.requests;
    const again = await replay(fleet, cassette, phases);
    expect(again.run).toMatchObject({ status: first.run.status, provider: 'replay', replayed: true, simulated: true });
    expect(provider.requests).toBe(asked);
    expect(await filesOf(fleet, again)).toBe(await filesOf(fleet, first));
    for (const { phase: name, usage } of Object.values(again.phases)) expect(usage).toEqual(first.phases[name]?.usage);
    const costs = await recordedCosts({ ...fleet, prefix: fleet.at.prefix, models: fleet.models }, again.plan.runId);
    expect(costs).toMatchObject({ replayed: true, simulated: true, totals: { micros: 0, failedCalls: 2 } });
    expect(costs.calls.every((call) => call.replayed)).toBe(true);
    const [ref] = Object.values(again.phases['left']?.transcripts ?? {});
    const transcript = ref === undefined ? '' : Buffer.from(await fleet.blobs.get(ref)).toString();
    expect(transcript).toContain('"replayed":true');
    expect(await originsOf(fleet, again)).toEqual(Array.from({ length: 6 }, () => true));
    expect(await originsOf(fleet, first)).toEqual(Array.from({ length: 6 }, () => undefined));
    for (const record of Object.values(again.phases)) {
      const origin = record.rounds.map(({ verdict }) => verdict.simulated);
      expect(origin).toEqual([true]);
    }
  });

  test('of a real model is replayed as such, costs nothing, and holds no key', async () => {
    const phases = phase('only');
    const secret = `not for others: ${KEY} ${LOOKS_LIKE_ONE}`;
    const jobs = { only: [write('only.txt', secret), done] };
    const { fleet, cassette } = await recorded({ phases, jobs, isPaid: true });
    const text = JSON.stringify(cassette);
    expect(text.split('[redacted] [redacted]').length).toBeGreaterThan(1);
    expect(text).not.toContain(KEY);
    expect(text).not.toContain(LOOKS_LIKE_ONE);
    expect(text.toLowerCase()).not.toMatch(/x-api-key|authorization|bearer/);
    const again = await replay(fleet, cassette, phases);
    expect(again.run).toMatchObject({ status: 'passed_with_warnings', replayed: true, simulated: false });
    expect(again.run.usage.costUsd).toBe(0);
    expect(again.phases['only']?.rounds[0]?.verdict).toMatchObject({ replayed: true, simulated: false });
  });

  test('that lacks a request ends the replay at once and names what is different', async () => {
    const jobs = {
      kept: [write('kept.txt'), done],
      changed: [write('changed.txt'), done],
      lacking: [write('lacking.txt'), done],
    };
    const others = phase('kept') + phase('lacking');
    const { fleet, cassette, first } = await recorded({ jobs, phases: others + phase('changed') });
    const short = {
      ...cassette,
      recordings: cassette.recordings.filter(({ request }) => !request.conversation.startsWith('lacking')),
    };
    const other = await replay(fleet, short, others + phase('changed', ', description: "Something else."'));
    expect(other.run.status).toBe('failed');
    expect(other.run.reason).toContain('NOT_RECORDED');
    // Whatever is recorded is played to its end.
    expect(other.phases['kept']?.status).toBe(first.phases['kept']?.status);
    expect(other.phases['changed']).toMatchObject({ status: 'failed', faults: 1 });
    expect(other.phases['changed']?.reason).toMatch(
      /NOT_RECORDED: the recording of run \w+ does not hold this request: message 1 of changed\/author work round 0 is another: recorded ".*asked ".*Something else/,
    );
    expect(other.phases['lacking']).toMatchObject({ status: 'failed', faults: 1 });
    expect(other.phases['lacking']?.reason).toContain('it holds nothing of lacking/author work round 0');
  });
});

test('a line that only an interrupted run has makes no request another one', () => {
  const asked = (hasMoved: boolean) => {
    const state = newCheckpoint('', 'Build it.');
    state.messages.push({ role: 'assistant', content: [{ type: 'text', text: 'so' }] }, { role: 'user', content: [] });
    state.toolCalls = 1;
    state.workspace = { commit: 'c', tree: 't' };
    if (hasMoved) sayNewFolder(state, []);
    const size = state.messages.at(-1)?.content.length;
    const { sha256: _, ...request } = describeRequest(
      JSON.stringify({ model: 'm', max_tokens: 1, messages: state.messages }),
    );
    return { size, print: fingerprintOf({ ...request, sha256: '' }) };
  };
  const [plain, moved] = [asked(false), asked(true)];
  expect([plain.size, moved.size]).toEqual([0, 1]);
  expect(moved.print).toBe(plain.print);
});
