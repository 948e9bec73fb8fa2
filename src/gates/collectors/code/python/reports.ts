import { z } from 'zod';

/** What the Python probes answer. They are asked with plain JSON and print one document. */

const Place = z.strictObject({
  file: z.string(),
  line: z.number().int().positive(),
  column: z.number().int().positive(),
});
const Fault = z.strictObject({ file: z.string(), message: z.string() });
const Severity = z.enum(['error', 'warning']);

export const AnalysisReport = z.strictObject({
  python: z.string(),
  radon: z.string(),
  pyflakes: z.string(),
  files: z.number().int(),
  /** Lines with something other than blanks, comments and docstrings. */
  codeLines: z.number().int(),
  functions: z.number().int(),
  stubs: z.array(Place.extend({ rule: z.string(), message: z.string() })),
  exports: z.array(Place.extend({ name: z.string(), documented: z.boolean() })),
  messages: z.array(Place.extend({ rule: z.string(), message: z.string(), severity: Severity })),
  complexities: z.array(
    z.strictObject({ file: z.string(), line: z.number().int(), what: z.string(), complexity: z.number().int() }),
  ),
  directives: z.array(Place.extend({ rule: z.string() })),
  unparsable: z.array(Place.extend({ message: z.string() })),
});
export type AnalysisReport = z.infer<typeof AnalysisReport>;

const Package = z.strictObject({
  file: z.string(),
  name: z.string(),
  /** Null where it is not pinned to one version. */
  version: z.string().nullable(),
  /** sha256 of each of its files. */
  hashes: z.array(z.string()),
  /** As the installed package states it. */
  licence: z.string().nullable(),
});

export const ManifestReport = z.strictObject({
  python: z.string(),
  manifests: z.number().int(),
  run: z.array(z.string()),
  other: z.array(z.string()),
  /** Declared and not installed. */
  missing: z.array(z.string()),
  /** Every requirement, and every package of the lock files. */
  declared: z.array(Package),
  locked: z.array(Package),
  faults: z.array(Fault),
});
export type ManifestReport = z.infer<typeof ManifestReport>;

export const TypeCheckReport = z.strictObject({
  python: z.string(),
  mypy: z.string(),
  compiled: z.number().int(),
  checked: z.number().int(),
  syntax: z.array(Place.extend({ message: z.string() })),
  /** Null where the sources do not compile. */
  types: z
    .strictObject({
      exitCode: z.number().int(),
      problems: z.array(Place.extend({ code: z.string(), message: z.string() })),
      other: z.string(),
    })
    .nullable(),
});
export type TypeCheckReport = z.infer<typeof TypeCheckReport>;

export const ScanReport = z.strictObject({
  python: z.string(),
  bandit: z.string(),
  /** Planted defects that were not seen. */
  blindTo: z.array(z.string()),
  filesScanned: z.number().int(),
  skipped: z.array(Fault),
  messages: z.array(
    z.strictObject({
      file: z.string(),
      line: z.number().int().positive(),
      rule: z.string(),
      message: z.string(),
      severity: Severity,
    }),
  ),
});
export type ScanReport = z.infer<typeof ScanReport>;

export const StatementsReport = z.strictObject({
  coverage: z.string(),
  summary: z.record(
    z.string(),
    z.strictObject({
      lines: z.number().int(),
      covered: z.number().int(),
      uncovered: z.array(z.number().int()),
      statements: z.array(z.number().int()),
    }),
  ),
  unparsable: z.array(Fault),
});
export type StatementsReport = z.infer<typeof StatementsReport>;

/** One line of the test runner's stream. */
export const PytestRecord = z.discriminatedUnion('type', [
  z.strictObject({
    seq: z.number().int(),
    type: z.literal('start'),
    cwd: z.string(),
    python: z.string(),
    pytest: z.string(),
    coverage: z.string(),
  }),
  z.strictObject({
    seq: z.number().int(),
    type: z.literal('test'),
    name: z.string(),
    /** The name and the first line of the docstring. */
    title: z.string(),
    file: z.string(),
    line: z.number().int().positive(),
    outcome: z.enum(['passed', 'failed', 'skipped', 'todo']),
    durationMs: z.number(),
    message: z.string(),
  }),
  z.strictObject({
    seq: z.number().int(),
    type: z.literal('end'),
    exitCode: z.number().int(),
    faults: z.array(
      z.strictObject({ kind: z.enum(['crashed', 'left-out', 'hook']), file: z.string(), message: z.string() }),
    ),
    /** Lines that ran, by file. */
    lines: z.record(z.string(), z.array(z.number().int())),
  }),
]);
export type PytestRecord = z.infer<typeof PytestRecord>;

/** What test files hold by their syntax, and what could decide over tests. */
export const PythonShapes = z.strictObject({
  files: z.array(
    z.strictObject({
      file: z.string(),
      /** False where it cannot be parsed: then nothing is counted. */
      isPython: z.boolean(),
      assertions: z.number().int(),
      switchedOff: z.number().int(),
      titles: z.array(z.string()),
      hooks: z.array(z.strictObject({ name: z.string(), line: z.number().int().positive() })),
      /** Comments that switch a tool off, with the line they stand in. */
      directives: z.array(z.strictObject({ rule: z.string(), line: z.number().int().positive(), text: z.string() })),
    }),
  ),
  settings: z.array(
    z.strictObject({
      file: z.string(),
      /** Options by which tests are chosen. */
      options: z.array(z.string()),
      fault: z.string(),
    }),
  ),
});
export type PythonShapes = z.infer<typeof PythonShapes>;
