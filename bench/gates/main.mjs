/**
 * npm run bench:gates -- [--lines N] [--rounds N] [--seed N] [--json FILE]
 * Prints tables on stderr and one JSON document on stdout. It reports; it fails only when something could not be measured.
 */
import { cpus, release, totalmem } from 'node:os';
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { benchCollection } from './collect.mjs';
import { benchEvaluation } from './evaluate.mjs';

const { values: flags } = parseArgs({
  options: {
    lines: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '3' },
    seed: { type: 'string', default: '7' },
    json: { type: 'string' },
  },
});
const fleet = resolve(fileURLToPath(new URL('../..', import.meta.url)));
const say = (text) => process.stderr.write(`${text}\n`);
const table = (head, rows) => {
  const drawn = new Table({ head, style: { head: [], border: [] } });
  drawn.push(...rows);
  say(drawn.toString());
};
const ms = (value) => `${value < 10 ? value.toFixed(3) : Math.round(value)} ms`;

const evaluation = benchEvaluation({ fleet, warmUp: 2000, evaluations: 20_000 });
const { policy, gates, criteria, artifacts, targets } = evaluation;
table(
  ['evaluation', 'median', 'p99', 'wanted'],
  [
    [
      `${policy}: ${gates} gates, ${criteria} criteria, ${artifacts} artifacts, ${targets} targets`,
      ms(evaluation.medianMs),
      ms(evaluation.p99Ms),
      `< ${evaluation.limitMs} ms`,
    ],
  ],
);
const collection = await benchCollection({
  fleet,
  seed: Number(flags.seed),
  lines: Number(flags.lines),
  rounds: Number(flags.rounds),
  say,
});
table(
  ['by hand, one after another', 'median'],
  [...collection.byHand.map((each) => [each.tool, ms(each.ms)]), ['sum', ms(collection.byHandMs)]],
);
table(
  ['collector (they overlap)', 'median'],
  [
    ...collection.collectors.map((each) => [each.collector, ms(each.ms)]),
    ['full collection', ms(collection.collectedMs)],
  ],
);
say(`full collection / sum by hand: ${collection.ratio.toFixed(2)} (wanted: at most ${collection.limit})`);
const [{ model }] = cpus();
const machine = {
  cpu: model,
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  kernel: release(),
  node: process.version,
};
const report = `${JSON.stringify({ schema: 'maestro.bench-gates/v1', at: new Date().toISOString(), machine, evaluation, collection }, null, 2)}\n`;
if (flags.json === undefined) process.stdout.write(report);
else writeFileSync(flags.json, report);
