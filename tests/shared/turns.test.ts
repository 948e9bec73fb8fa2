import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Turns } from '../../src/shared/turns.ts';

const never = new AbortController().signal;

test('never more run at once than there are turns, in the order they came, also after one has failed', async () => {
  const turns = new Turns(2);
  let now = 0;
  let most = 0;
  const order: number[] = [];
  const one = (index: number) =>
    turns.run(never, async () => {
      order.push(index);
      now += 1;
      most = Math.max(most, now);
      await sleep(5);
      now -= 1;
      if (index === 1) throw new Error('this one fails');
    });
  const ended = await Promise.allSettled([0, 1, 2, 3, 4, 5].map(one));
  expect(most).toBe(2);
  expect(order).toEqual([0, 1, 2, 3, 4, 5]);
  expect(ended.filter((outcome) => outcome.status === 'rejected')).toHaveLength(1);
});

test('who is told to stop while it waits gives its turn to the next', async () => {
  const turns = new Turns(1);
  const stop = new AbortController();
  const first = turns.run(never, () => sleep(20));
  const second = turns.run(stop.signal, () => Promise.reject(new Error('has run')));
  const third = turns.run(never, () => Promise.resolve('third'));
  stop.abort(new Error('stopped'));
  await expect(second).rejects.toThrow('stopped');
  expect(await third).toBe('third');
  await first;
  expect(await turns.run(never, () => Promise.resolve('free again'))).toBe('free again');
});
