import { generateKeyPairSync } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { MaestroClient } from '../../src/producer/client.ts';
import { Verification, verifyRun } from '../../src/producer/verify/verify-run.ts';
import { getJson, putJson } from '../../src/shared/blob-store.ts';
import { open, seal } from '../../src/shared/evidence/dsse.ts';
import { readSeal } from '../../src/shared/evidence/seal-store.ts';
import { signingKey, trustedKeys } from '../../src/shared/evidence/signing-key.ts';
import { RunStatement } from '../../src/shared/evidence/statement.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { packagePath } from '../../src/shared/package-root.ts';
import { RoundEvidence } from '../../src/shared/round-evidence.ts';
import { BlobRef } from '../../src/shared/run-record.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { loadScripts } from '../../src/workers/scripted/load-script.ts';
import { startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { testRedis } from '../support/test-redis.ts';
import { REQUIREMENT, RunJson, firstPhaseOnly, jsonOf, place, run, start } from './maestro.ts';

const redis = testRedis();

const ten = (change: Record<number, string>): string =>
  Array.from({ length: 10 }, (_, line) => change[line] ?? `line ${line}`).join('\\n');
const job = (phase: string, path: string, content: string): string => `  - phase: ${phase}
    persona: technical_writer
    turns:
      - tools: [{ tool: write_file, input: { path: ${path}, content: "${content}\\n" } }]
      - tools: [{ tool: shell, input: { command: "echo made > by-${phase}.txt; ln -sf by-${phase}.txt link-${phase}" } }]
      - tools: [{ tool: hand_off, input: { summary: It is there. } }]
`;
/** Two phases change the same file in different places, so that what is handed on in the end was written by no call. */
const SCRIPT = `workflow: diamond
jobs:
${job('base', 'same.md', ten({}))}${job('left', 'same.md', ten({ 0: 'left' }))}${job('right', 'same.md', ten({ 9: 'right' }))}${job('end', 'end.md', 'the end')}`;
const WORKFLOW = `apiVersion: maestro/v1
name: diamond
inputs: { source_code: { type: string, default: none }, prd_document: { type: string, default: none }, design_document: { type: string, default: none }, api_specification: { type: string, default: none } }
phases:
  base: { persona: technical_writer, policy: none }
  left: { persona: technical_writer, policy: none, needs: [base] }
  right: { persona: technical_writer, policy: none, needs: [base] }
  end: { persona: technical_writer, policy: none, needs: [left, right] }
`;

test('a run is sealed when it ends; the seal is verified where it is and as a file, and every change is found', async () => {
  const { home, env } = await place(redis);
  const scripts = join(home, 'scripts');
  await mkdir(join(scripts, 'diamond'), { recursive: true });
  await writeFile(join(scripts, 'diamond', 'script.yaml'), SCRIPT);
  await writeFile(join(home, 'diamond.yaml'), WORKFLOW);
  const model = await startScriptedProvider({
    scripts: [...(await loadScripts(packagePath('demo'))), ...(await loadScripts(scripts))],
    latencyMs: 0,
  });
  onTestFinished(() => model.close());
  const own = { ...env, MAESTRO_SCRIPTED_URL: model.url };
  const maestro = (...args: string[]) => run(args, own, home);
  await start(['worker', '--provider', 'scripted'], own, home).says(/^worker ready/m);
  const gated = await maestro(
    'run',
    await firstPhaseOnly(),
    '--provider',
    'scripted',
    '--input',
    REQUIREMENT,
    '--json',
  );
  const { runId } = RunJson.parse(jsonOf(gated, 0));

  const whole = await maestro('verify', runId, '--json');
  const verified = Verification.parse(JSON.parse(whole.stdout));
  expect(verified.checks.map(({ check, outcome, problems }) => [check, outcome, problems])).toEqual(
    ['signature', 'blobs', 'records', 'calls', 'files', 'verdicts', 'outcome', 'origin'].map((check) => [
      check,
      'held',
      [],
    ]),
  );
  expect(verified).toMatchObject({ verified: true, simulated: true, status: 'passed' });

  // As a file, with nothing but the public key.
  expect((await maestro('evidence', runId, '--out', 'run.jsonl')).exit).toBe(0);
  const keyFile = { file: join(home, 'keys', 'evidence.pem'), isOwn: false };
  const key = await signingKey(keyFile);
  const [publicKey] = await trustedKeys(keyFile, []);
  if (publicKey === undefined) throw new Error('no key');
  const elsewhere = await place(redis);
  const there = await run(
    ['verify', join(home, 'run.jsonl'), '--key', join(home, 'keys', 'evidence.pub.pem')],
    elsewhere.env,
    elsewhere.home,
  );
  expect([there.exit, there.stdout]).toEqual([0, expect.stringMatching(/✔ {2}verdicts[^]*verified[^]*\[simulated\]/)]);
  const untrusted = await run(['verify', join(home, 'run.jsonl')], elsewhere.env, elsewhere.home);
  expect([untrusted.exit, untrusted.stdout]).toEqual([6, expect.stringContaining('no trusted key signed it')]);
  const text = await readFile(join(home, 'run.jsonl'), 'utf8');
  await writeFile(
    join(home, 'bad.jsonl'),
    text.replace(/("base64":")(.)/, (_, head, first) => `${head}${first === 'A' ? 'B' : 'A'}`),
  );
  expect((await maestro('verify', 'bad.jsonl')).stdout).toContain('its bytes have another sha256');
  await writeFile(join(home, 'half.jsonl'), text.slice(0, text.length / 2));
  expect((await maestro('verify', 'half.jsonl')).stderr).toMatch(/half\.jsonl:\d+:1 is no blob/);

  // The service gives the same file.
  const serving = start(['serve', '--port', '0'], own, home);
  const [api = ''] = await serving.says(/http:\/\/127\.0\.0\.1:\d+/);
  expect(Buffer.from(await new MaestroClient({ baseUrl: api }).sealedEvidence(runId)).toString('utf8')).toBe(text);
  const named = await fetch(`${api}/api/runs/${runId}/evidence.jsonl`);
  expect(named.headers.get('content-disposition')).toContain(`${runId}-simulated.evidence.jsonl`);
  await named.body?.cancel();

  // Whoever holds the key may say what he likes: what it rests on says something else.
  const blobs = openBlobStore(join(home, 'blobs'));
  const client = await redis.connect();
  const store = new RunStore(client, redis.prefix);
  const envelope = await readSeal({ redis: client, prefix: redis.prefix, blobs, store }, runId);
  if (envelope === undefined) throw new Error('it was not sealed');
  const statement = RunStatement.parse(JSON.parse(open(envelope, [publicKey]).payload.toString('utf8')));
  const problemsOf = async (change: (statement: RunStatement) => unknown, by = key, stored?: RunStore) => {
    const changed = structuredClone(statement);
    await change(changed);
    const forged = seal(Buffer.from(JSON.stringify(changed)), by);
    const { checks } = await verifyRun({ envelope: forged, trusted: [publicKey], blobs, store: stored });
    const violated = checks.filter((check) => check.outcome !== 'held');
    return violated.map(({ check, problems }) => `${check}: ${problems.join('; ')}`).join('\n');
  };
  const [phase] = statement.predicate.phases;
  const [round] = phase?.rounds ?? [];
  if (round === undefined) throw new Error('no round');
  const evidence = await getJson(blobs, round.evidence, RoundEvidence);
  const roundOf = ({ predicate }: RunStatement) => {
    const found = predicate.phases[0]?.rounds[0];
    if (found === undefined) throw new Error('no round');
    return found;
  };

  expect(await problemsOf(() => undefined)).toBe('');
  const stranger = generateKeyPairSync('ed25519').privateKey;
  expect(await problemsOf(() => undefined, stranger)).toMatch(/^signature: no trusted key signed it: .*$/);
  // A value that was never measured.
  const halved = evidence.measurements.map((one) =>
    one.status === 'measured' ? { ...one, value: one.value / 2 } : one,
  );
  const other = await putJson(blobs, { ...evidence, measurements: halved });
  expect(await problemsOf((one) => (roundOf(one).evidence = other))).toMatch(
    /^verdicts: requirements, round 1: the record says passed, judged again it is blocked.*$/,
  );
  // An error that was let through.
  const unread = { metric: 'test_count', reason: 'it could not be read' };
  expect(await problemsOf((one) => roundOf(one).verdict.errors.push(unread))).toMatch(
    /^verdicts: .*an error let through: test_count: it could not be read$/,
  );
  // A stand-in that is called real.
  expect(await problemsOf((one) => (one.predicate.run.simulated = false))).toMatch(/^origin: .*the run says real$/);
  // A run that did not pass, and one that says something else today.
  expect(await problemsOf((one) => Object.assign(one.predicate.phases[0] ?? {}, { status: 'blocked' }))).toBe(
    'outcome: the run is passed, its phases make it blocked',
  );
  expect(await problemsOf((one) => Object.assign(one.predicate.run, { status: 'blocked' }), key, store)).toMatch(
    /^records: the run's status is passed, sealed was blocked$/m,
  );
  // A conversation that wrote nothing, and one whose calls nobody billed.
  const talk = Object.keys(phase?.transcripts ?? {})[0] ?? '';
  const [empty, calls] = [await putJson(blobs, { calls: [], lineage: [] }), await putJson(blobs, [])];
  expect(
    await problemsOf((one) => Object.assign(one.predicate.phases[0]?.transcripts ?? {}, { [talk]: empty })),
  ).toMatch(/^files: .*comes from no call, no person and no merge/m);
  expect(await problemsOf((one) => Object.assign(one.predicate, { calls }))).toMatch(
    /^calls: .*is not in the ledger of the run.*$/,
  );
  // What it rests on is gone.
  const gone = BlobRef.parse('0'.repeat(64));
  expect(await problemsOf((one) => (roundOf(one).evidence = gone))).toMatch(/^blobs: .*0{64}/);

  // What git merged was written by no call, and is found to be the merge of what was.
  const merged = await maestro('run', 'diamond.yaml', '--provider', 'scripted', '--json');
  const diamond = RunJson.parse(jsonOf(merged, 0));
  const files = Verification.parse(jsonOf(await maestro('verify', diamond.runId, '--json'), 0)).checks.find(
    ({ check }) => check === 'files',
  );
  expect(files).toMatchObject({ outcome: 'held', problems: [] });
  expect(files?.examined).toBeGreaterThanOrEqual(12);
}, 180_000);
