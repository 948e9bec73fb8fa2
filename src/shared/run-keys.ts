/** The Redis keys of one run. Everything a run keeps outside the queues is in one of these. */
const PARTS = [
  'phases',
  'events',
  'approvals',
  'questions',
  'account',
  'conversations',
  'commands',
  'parked',
  'calls',
  'recorded',
  'played',
] as const;
type RunPart = (typeof PARTS)[number];

/** The key of a run's hash (plan, record, counters), or of one of its parts. */
export const runKey = (prefix: string, runId: string, part?: RunPart): string =>
  `${prefix}:maestro:run:${runId}${part === undefined ? '' : `:${part}`}`;

/** Every key a run may have. */
export const allRunKeys = (prefix: string, runId: string): string[] => [
  runKey(prefix, runId),
  ...PARTS.map((part) => runKey(prefix, runId, part)),
];
