import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { AuditEntry } from '../../src/producer/audit.ts';
import { RunId } from '../../src/shared/names.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { movePhase, moveRun } from '../../src/shared/transitions.ts';
import { testRedis } from '../support/test-redis.ts';
import { REQUIREMENT, firstPhaseOnly, jsonOf, place, run } from './maestro.ts';

const redis = testRedis();
const Entries = z.object({ entries: z.array(AuditEntry) });
const PHASE = 'requirements';

test('every command that changes something stands in the audit log, also when it was refused', async () => {
  const { home, env } = await place(redis);
  const store = new RunStore(await redis.connect(), redis.prefix);
  const call = (...args: string[]) => run(args, { ...env, MAESTRO_WEBHOOK_ALLOW_PRIVATE: '1' }, home);
  const done = async (...args: string[]): Promise<string> => {
    const ended = await call(...args);
    expect([args.join(' '), ended.exit, ended.exit === 0 ? '' : ended.stderr]).toEqual([args.join(' '), 0, '']);
    return ended.stdout.trim();
  };
  const scripted = [await firstPhaseOnly(), '--provider', 'scripted', '--input', REQUIREMENT];
  const adr = join(home, 'adr.md');
  await writeFile(adr, '# Why');

  const ofRun = async (): Promise<string> => {
    const id = await done('run', ...scripted, '--idempotency-key', 'k', '--detach');
    await done('run', ...scripted, '--idempotency-key', 'k', '--detach');
    const runId = RunId.parse(id);
    await done('pause', id);
    await done('resume', id);
    await movePhase(store, runId, PHASE, 'running');
    await movePhase(store, runId, PHASE, 'awaiting_approval');
    await done('approve', id, PHASE, '--role', 'stakeholder', '--by', 'Ada', '--note', 'a-private-note');
    expect((await call('answer', id, PHASE, '--by', 'Ada', '--text', 'a-private-answer')).exit).toBe(2);
    await movePhase(store, runId, PHASE, 'failed', { reason: 'broken' });
    await moveRun(store, runId, 'failed', { reason: 'broken' });
    await done('dead', '--redrive', id);
    expect((await call('retry', id, '--phase', PHASE)).exit).toBe(2);
    await done('cancel', id);
    return id;
  };
  const ofOthers = async (): Promise<void> => {
    await done('schedule', 'add', ...scripted, '--cron', '0 6 * * *', '--name', 'mornings');
    await done('schedule', 'remove', 'mornings');
    expect((await call('schedule', 'remove', 'mornings')).exit).toBe(2);
    const ask = ['--by', 'Ada', '--reason', 'soon', '--adr', adr, '--expires', '1d', '--workflow', 'url-shortener'];
    const bypass = await done('bypass', 'request', 'testing', 'performance_slo_met', ...ask);
    await done('bypass', 'approve', bypass, '--by', 'Grace', '--role', 'tech_lead');
    await done('bypass', 'revoke', bypass, '--by', 'Grace', '--reason', 'mended');
    const hook = ['webhooks', 'add', 'http://127.0.0.1:1/?key=a-private-key', '--events', 'run.finished', '--json'];
    const { id } = z.object({ id: z.string() }).parse(JSON.parse(await done(...hook)));
    await done('webhooks', 'enable', id);
    await done('webhooks', 'redeliver', id, '--dead');
    await done('webhooks', 'remove', id);
  };
  const [runId] = await Promise.all([ofRun(), ofOthers()]);

  const read = async (...more: string[]) => {
    const { entries } = Entries.parse(jsonOf(await call('audit', '--json', ...more), 0));
    expect(entries.every(({ who, from }) => who === 'cli' && from.includes('@'))).toBe(true);
    return entries.toReversed();
  };
  const words = ({ action, outcome }: AuditEntry): string => `${action} ${outcome}`;
  const ours = await read('--run', runId);
  expect(ours.map(words)).toEqual([
    'run done',
    'run done',
    'pause done',
    'resume done',
    'approve done',
    'answer refused',
    'dead.redrive done',
    'retry refused',
    'cancel done',
  ]);
  expect(ours[4]?.target).toEqual({ id: runId, phase: PHASE, role: 'stakeholder', by: 'Ada', decision: 'approved' });
  const all = await read();
  expect(all.filter(({ target }) => target['id'] !== runId).map(words)).toEqual([
    'schedule.add done',
    'schedule.remove done',
    'schedule.remove refused',
    'bypass.request done',
    'bypass.approve done',
    'bypass.revoke done',
    'webhooks.add done',
    'webhooks.enable done',
    'webhooks.redeliver done',
    'webhooks.remove done',
  ]);
  expect(JSON.stringify(all)).not.toContain('a-private');
}, 240_000);
