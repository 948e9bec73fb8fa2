import { beforeAll, describe, expect, it } from 'vitest';
import { documentsCollector } from '../../../src/gates/collectors/documents/documents.ts';
import { commandsIn } from '../../../src/gates/collectors/documents/shell-commands.ts';
import type { Sandbox } from '../../../src/shared/sandbox/sandbox.ts';
import { Project, collect, readingOf } from './documents-support.ts';

const METRIC = 'rollback_plan_ready';
const PLAN = 'docs/deployment/rollback-plan.md';

let sandbox: Sandbox;
beforeAll(async () => {
  const { realSandbox } = await import('./documents-support.ts');
  sandbox = await realSandbox();
});

/** The good project with a block of commands, from line 13 on, and with everything that they name. */
const withCommands = (commands: string, fence = 'sh'): Project =>
  new Project()
    .write(
      'package.json',
      JSON.stringify({ scripts: { 'db:down': 'node scripts/down.js', start: 'node src/main.js' } }),
    )
    .write('scripts/down.js', 'export {};\n')
    .write('scripts/switch.sh', 'true\n')
    .write('Makefile', 'previous release: build\n\ttrue\n')
    .edit(PLAN, '## Verification', `\`\`\`${fence}\n${commands}\n\`\`\`\n\n## Verification`);

async function measure(project: Project): Promise<{ value: unknown; found: string[] }> {
  const collected = await collect(documentsCollector, project, [METRIC], { sandbox });
  const found = collected.findings.map(({ rule, line, message }) => `${line} ${rule}: ${message}`);
  return { value: readingOf(collected, METRIC), found };
}

describe('the commands of a rollback plan', () => {
  it('are parsed, and everything that they name is there', async () => {
    const commands = `set -euo pipefail
# scripts/gone.sh is only spoken of here
npm run db:down && npm start   # back to the release before
RELEASE="$1" bash scripts/switch.sh "$RELEASE"
psql -f migrations/001_links.down.sql < migrations/002_index.down.sql
cd scripts && ./switch.sh; cd ..
pg_dump app > /var/backups/app.sql > before.sql
psql app < before.sql
make previous
node -e 'console.log("gone.js")'
cat <<END
./gone.sh
END
for host in one two; do ssh "$host" systemctl restart app; done`;
    const { value, found } = await measure(withCommands(commands));
    expect(found).toEqual([]);
    expect(value).toEqual({ value: 1, examined: 15 });
  });

  it.each([
    [
      'a script of package.json',
      'npm run db:back',
      '13 document/rollback-script: `npm run db:back`: package.json has no',
    ],
    [
      'a file to run',
      '\nbash scripts/gone.sh',
      '14 document/rollback-file: `bash scripts/gone.sh`: the project has no file',
    ],
    ['a program of the project', './scripts/gone.sh now', 'the project has no file scripts/gone.sh'],
    ['a migration', 'sqlite3 app.db < migrations/009_x.down.sql', 'no file migrations/009_x.down.sql'],
    ['a migration as an argument', 'psql -f migrations/009_x.down.sql', 'no file migrations/009_x.down.sql'],
    [
      'a file below a folder',
      'cd scripts\nnode gone.js',
      '14 document/rollback-file: `node gone.js`: the project has no',
    ],
    ['a folder', 'cd gone', 'the project has no folder gone'],
    ['a target of the Makefile', 'make build', 'the Makefile has no target `build`'],
    ['a file outside of the project', 'bash ../deploy.sh', '../deploy.sh is outside of the project'],
  ])('are found out when they name %s that is not there', async (_what, commands, finding) => {
    const { value, found } = await measure(withCommands(commands));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(finding);
    expect(value).toMatchObject({ value: 0 });
  });

  it('are found out when bash cannot parse them, with the line', async () => {
    const { found } = await measure(withCommands('npm start\nif true; then\n  npm stop\nnpm run db:down'));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(/document\/rollback-syntax: bash cannot parse this: syntax error/);
    const placeholder = await measure(withCommands('echo one\ngit checkout <the release before>'));
    expect(placeholder.found[0]).toContain('14 document/rollback-syntax');
  });

  it('are taken from sessions without what was printed, and from lists; other languages are left alone', async () => {
    expect((await measure(withCommands('$ npm start\nstarting gone.sh\n$ npm run db:down', 'console'))).found).toEqual(
      [],
    );
    expect((await measure(withCommands('$ npm run gone\nok', 'console'))).found).toHaveLength(1);
    expect((await measure(withCommands('{ "run": "npm run gone" }', 'json'))).found).toEqual([]);
    const inList = new Project().edit(PLAN, '1. Stop', '1. Go back:\n\n   ```bash\n   bash gone.sh\n   ```\n\n2. Stop');
    expect((await measure(inList)).found[0]).toContain('document/rollback-file: `bash gone.sh`');
  });

  it('are no reason for an error where only the shell can know a name', async () => {
    const { found } = await measure(withCommands('bash "$HOME/x.sh"\ncd "$RELEASES"\nbash ./go.sh\nnpm run "$SCRIPT"'));
    expect(found).toEqual([]);
  });
});

it('reads simple commands with their redirections, and no comment, text or here-document', () => {
  const script = `A=1 sudo run 'two words' "a;b" >out.txt <in.txt 2>&1 | tee -a log # not | this
if ! check --x; then echo $(inner "x)y"); fi
cat <<'END' && last
no command
END
next \\
  line`;
  const commands = commandsIn(script).map(({ words, inputs, outputs, line }) => ({ words, inputs, outputs, line }));
  expect(commands).toEqual([
    { words: ['run', 'two words', 'a;b'], inputs: ['in.txt'], outputs: ['out.txt'], line: 1 },
    { words: ['tee', '-a', 'log'], inputs: [], outputs: [], line: 1 },
    { words: ['check', '--x'], inputs: [], outputs: [], line: 2 },
    { words: ['echo', '$(inner x)y)'], inputs: [], outputs: [], line: 2 },
    { words: ['cat'], inputs: [], outputs: [], line: 3 },
    { words: ['last'], inputs: [], outputs: [], line: 3 },
    { words: ['next', 'line'], inputs: [], outputs: [], line: 6 },
  ]);
});
