/** Secretlint has no command in this package, so its engine is called as its command would: once, over all files. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createEngine } from '@secretlint/node';

const root = process.argv[2];
const rule = {
  id: '@secretlint/secretlint-rule-preset-recommend',
  rules: [{ id: '@secretlint/secretlint-rule-aws', options: { enableIDScanRule: true } }],
};
const filePathList = readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name));
const engine = await createEngine({
  cwd: process.cwd(),
  formatter: 'json',
  color: false,
  configFileJSON: { rules: [rule] },
});
const { ok, output } = await engine.executeOnFiles({ filePathList });
process.stdout.write(output);
process.exitCode = ok ? 0 : 1;
