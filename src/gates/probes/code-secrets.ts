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
const PEM = /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY(?: BLOCK)?-----([^-]{1,20000})-----END/g;
/** Characters of base64; a placeholder such as `...` or `YOUR KEY` has fewer. */
const SHORTEST_KEY = 60;
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
  const text = bytes.toString('utf8');
  const found = await secretsIn(file, text);
  const keys = keysIn(file, text).filter((key) => !found.some(({ line }) => line === key.line));
  report.secrets.push(...found, ...keys);
}
answer(SecretsReport, report);

type Secret = z.infer<typeof SecretsReport>['secrets'][number];

async function secretsIn(file: string, content: string): Promise<Secret[]> {
  // Named as plain text, so that no rule is spared for a file type.
  const result = await engine.executeOnContent({ content, filePath: join(projectFolder, `${file}.txt`) });
  if (result.ok) return [];
  return EngineOutput.parse(JSON.parse(result.output)).flatMap(({ messages }) =>
    // The secret itself is left out: a report must not carry it further.
    messages.map(({ ruleId, messageId, loc }) => ({
      file,
      line: loc.start.line,
      column: loc.start.column + 1,
      rule: `${ruleId.split('/').at(-1)}/${messageId}`,
    })),
  );
}

/** Private keys that the rules pass over: short ones, as of Ed25519, and those that code joins from several lines. */
function keysIn(file: string, text: string): Secret[] {
  return [...text.matchAll(PEM)].flatMap(({ index, 1: body = '' }) => {
    const key = body.replaceAll(/\\[nr]|[\s'"`+,\\]/g, '');
    const isKey = key.length >= SHORTEST_KEY && /^[A-Za-z0-9+/]+=*$/.test(key);
    return isKey ? [{ file, ...placeIn(text, index), rule: 'privatekey/PrivateKey' }] : [];
  });
}

function placeIn(text: string, offset: number): Pick<Secret, 'line' | 'column'> {
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: (before.at(-1) ?? '').length + 1 };
}
