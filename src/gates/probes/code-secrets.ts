import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createEngine } from '@secretlint/node';
import { z } from 'zod';
import { FileList, SecretsReport } from '../collectors/code/probe-reports.ts';
import { answer, modulesFolder, projectFolder, readInput } from './code-probe-io.ts';

/** Looks for secrets in every text file given, with the fleet's own rules; no configuration of the project is read. */
const rules = {
  rules: [
    {
      id: '@secretlint/secretlint-rule-preset-recommend',
      // Without enableIDScanRule an AWS key id goes unseen.
      rules: [{ id: '@secretlint/secretlint-rule-aws', options: { enableIDScanRule: true } }],
    },
  ],
};
const EngineOutput = z.array(
  z.object({
    messages: z.array(
      z.object({
        ruleId: z.string(),
        messageId: z.string().default('secret'),
        loc: z.object({ start: z.object({ line: z.number(), column: z.number() }) }),
      }),
    ),
  }),
);

const engine = await createEngine({ cwd: modulesFolder, formatter: 'json', color: false, configFileJSON: rules });
const report: z.infer<typeof SecretsReport> = {
  version: z.object({ version: z.string() }).parse(createRequire(import.meta.url)('@secretlint/node/package.json'))
    .version,
  filesScanned: 0,
  bytesScanned: 0,
  binarySkipped: [],
  secrets: [],
};
for (const file of readInput(FileList).files) {
  const bytes = readFileSync(join(projectFolder, file));
  if (bytes.subarray(0, 8192).includes(0)) {
    report.binarySkipped.push(file);
    continue;
  }
  report.filesScanned += 1;
  report.bytesScanned += bytes.length;
  if (bytes.length === 0) continue;
  // Named as plain text, so that no rule is spared for a file type.
  const result = await engine.executeOnContent({
    content: bytes.toString('utf8'),
    filePath: join(projectFolder, `${file}.txt`),
  });
  if (result.ok) continue;
  for (const { messages } of EngineOutput.parse(JSON.parse(result.output)))
    for (const { ruleId, messageId, loc } of messages)
      // The secret itself is left out: a report must not carry it further.
      report.secrets.push({
        file,
        line: loc.start.line,
        column: loc.start.column + 1,
        rule: `${ruleId.split('/').at(-1)}/${messageId}`,
      });
}
answer(SecretsReport, report);
