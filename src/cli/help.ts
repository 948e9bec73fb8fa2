/** What `--help` adds to the options: examples that can be typed as they stand, and what the exit codes say. */
const examples = (...lines: string[]): string => `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`;

export const MAIN_HELP = `
Examples:
  maestro demo                          from a requirement to gated code; simulated, costs nothing
  maestro up                            Redis, API and workers on this machine
  maestro run url-shortener --input requirement="A service that ..."
  maestro gates . --phase backend       judge the folder you are in, without Redis, a model or a key

Exit codes:
  0 passed (warnings included)    1 fault of the program    2 bad usage or bad input    3 blocked
  4 Redis, model or sandbox unavailable    5 cancelled    6 verification failed

Settings come from the environment: REDIS_URL, MAESTRO_HOME, MAESTRO_BLOBS, MAESTRO_PREFIX, MAESTRO_SANDBOX,
MAESTRO_LOG_LEVEL, MAESTRO_KEEP_RUNS_DAYS, MAESTRO_KEEP_RUNS_COUNT, MAESTRO_STUCK_AFTER, MAESTRO_TOKEN,
MAESTRO_CORS_ORIGINS, MAESTRO_TRUSTED_PROXIES, MAESTRO_RATE_LIMIT, MAESTRO_STREAM_LIMIT,
MAESTRO_DRAIN_DEADLINE, MAESTRO_MAX_CONVERSATIONS, MAESTRO_MODELS,
MAESTRO_WEBHOOK_ALLOW_PRIVATE, MAESTRO_WEBHOOK_ALLOW_HOSTS, MAESTRO_WEBHOOK_KEY, MAESTRO_SIGNING_KEY, PORT, ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL; NO_COLOR turns colours off.`;

export const COMMAND_HELP: Readonly<Record<string, string>> = {
  demo: examples(
    'maestro demo                                simulated: no key is needed, nothing is spent',
    'maestro demo --sabotage security_clean      a planted fault: the run ends blocked, exit 3',
    'maestro demo --json > result.json           progress stays on stderr',
    'maestro demo --provider anthropic --budget-tokens 2000000',
  ),
  run: examples(
    'maestro run url-shortener --input requirement="A service that shortens links for a team"',
    'maestro run my-workflow.yaml --input-file inputs.yaml --json',
    'maestro run linear --input-file inputs.yaml --detach        prints the run id and returns',
    'maestro run linear --input-file inputs.yaml --delay 1h30m --idempotency-key release-7',
    'maestro run my-workflow.yaml --input-file inputs.yaml --record run.cassette.json',
    'maestro run my-workflow.yaml --provider replay --cassette run.cassette.json     offline, and stamped so',
    'maestro run my-workflow.yaml --from backend --files ./my-design --input-file inputs.yaml',
    'maestro run my-workflow.yaml --overlay maestro.policies.yaml --records records.yaml --advisories advisories.json',
  ),
  up: examples('maestro up', 'maestro up --port 0 --workers 2', 'maestro up --provider scripted'),
  serve: examples(
    'maestro serve',
    'maestro serve --overlay maestro.policies.yaml',
    'maestro serve --port 0      takes a free port and names it',
  ),
  worker: examples(
    'maestro worker                                         every persona, and the gates',
    'maestro worker --personas backend_developer,qa_engineer --concurrency 4',
    'maestro worker --gates                                 only gates and control queues',
    'maestro worker --concurrency 50 --health-port 9100 --drain 45s',
  ),
  schedule: examples(
    'maestro schedule add linear --input-file inputs.yaml --cron "0 6 * * 1-5" --tz Europe/Berlin --name mornings',
    'maestro schedule list',
    'maestro schedule remove mornings',
  ),
  webhooks: examples(
    'maestro webhooks add https://ci.example.com/maestro --events run.finished,gate.verdict --workflow linear',
    'maestro webhooks deliveries wh_01M84FY4S1VC88BJ5H9YZEP0XW --status dead',
    'maestro webhooks redeliver wh_01M84FY4S1VC88BJ5H9YZEP0XW --dead',
  ),
  scripted: examples(
    'maestro scripted --script my-workflow.script.yaml --port 4100      then: MAESTRO_SCRIPTED_URL=http://127.0.0.1:4100 maestro worker',
    'maestro scripted --latency 2000 --requests-per-minute 50',
  ),
  dead: examples(
    'maestro dead --json',
    'maestro dead --redrive 01M84FY4S1VC88BJ5H9YZEP0XW',
    'maestro dead --all                                     every run that ended with a failed phase goes on',
  ),
  runs: examples('maestro runs', 'maestro runs --status running,awaiting_approval --json'),
  status: examples('maestro status 01M84FY4S1VC88BJ5H9YZEP0XW'),
  events: examples('maestro events 01M84FY4S1VC88BJ5H9YZEP0XW --follow'),
  logs: examples(
    'maestro logs 01M84FY4S1VC88BJ5H9YZEP0XW backend',
    'maestro logs 01M84FY4S1VC88BJ5H9YZEP0XW backend --turn 3 --full',
    'maestro logs 01M84FY4S1VC88BJ5H9YZEP0XW --follow           as it is said and done',
    'maestro logs 01M84FY4S1VC88BJ5H9YZEP0XW --full | less',
  ),
  workers: examples('maestro workers', 'maestro workers --json'),
  costs: examples(
    'maestro costs 01M84FY4S1VC88BJ5H9YZEP0XW --by persona',
    'maestro costs --by model --days 7       the whole fleet, day by day',
  ),
  limits: examples('maestro limits', 'maestro limits --json'),
  cancel: examples('maestro cancel 01M84FY4S1VC88BJ5H9YZEP0XW --reason "wrong requirement"'),
  pause: examples('maestro pause 01M84FY4S1VC88BJ5H9YZEP0XW'),
  resume: examples(
    'maestro resume 01M84FY4S1VC88BJ5H9YZEP0XW                 all that did not pass, under the same id',
    'maestro artifacts 01M84FY4S1VC88BJ5H9YZEP0XW --phase backend --out work     then edit the files, and',
    'maestro resume 01M84FY4S1VC88BJ5H9YZEP0XW --phase backend --edits work --by "Your Name"',
    'maestro resume 01M84FY4S1VC88BJ5H9YZEP0XW --budget-tokens 4000000 --follow',
  ),
  retry: examples(
    'maestro retry 01M84FY4S1VC88BJ5H9YZEP0XW --phase backend     one phase that did not pass',
    'maestro retry 01M84FY4S1VC88BJ5H9YZEP0XW --from design       design and all after it, again',
  ),
  approve: examples('maestro approve 01M84FY4S1VC88BJ5H9YZEP0XW requirements --role stakeholder --by "Your Name"'),
  answer: examples(
    'maestro answer 01M84FY4S1VC88BJ5H9YZEP0XW design --by "Your Name" --text "Keep the old field names"',
  ),
  artifacts: examples(
    'maestro artifacts 01M84FY4S1VC88BJ5H9YZEP0XW --out ./result',
    'maestro artifacts 01M84FY4S1VC88BJ5H9YZEP0XW --phase backend --out ./backend',
  ),
  report: examples('maestro report 01M84FY4S1VC88BJ5H9YZEP0XW --html report.html'),
  validate: examples('maestro validate workflows/*.yaml'),
  plan: examples('maestro plan url-shortener', 'maestro plan my-workflow.yaml --mermaid > plan.mmd'),
  gates: examples(
    'maestro gates . --phase backend',
    'maestro gates . --phase backend --against origin/main       hold its tests against a revision',
    'maestro gates . --phase testing --format junit > gates.xml',
    'maestro gates eval --phase backend --metrics metrics.json --json',
    'maestro gates selftest --collector tests',
  ),
  bypass: examples(
    'maestro bypass request 01M84FY4S1VC88BJ5H9YZEP0XW testing performance_slo_met --by Ann --reason "known slow disk" --adr docs/adr/7.md --expires 7d',
    'maestro bypass approve byp-01m84fy4s1vc88bj5h9yzep0xw --by Bob --role tech_lead',
    'maestro bypass list --json',
  ),
  token: examples(
    'maestro token create --name ci --scope run --scope read --expires 30d     prints the token, this once',
    'maestro token create --name lead --scope read --scope approve:tech_lead',
    'maestro token list',
    'maestro token revoke ci',
  ),
  audit: examples('maestro audit --limit 20', 'maestro audit --run 01M84FY4S1VC88BJ5H9YZEP0XW --json'),
  schema: examples('maestro schema overlay > maestro.policies.schema.json'),
  doctor: examples('maestro doctor', 'maestro doctor --json', 'maestro doctor --reach'),
};
