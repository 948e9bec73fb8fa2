import { z } from 'zod';

/** What the host asks of the probes, and what they answer. Both sides parse it. */

export const FileList = z.strictObject({ files: z.array(z.string()) });

export const TypesInput = z.strictObject({
  groups: z.array(z.strictObject({ name: z.string(), files: z.array(z.string()), browser: z.boolean() })),
});
export const TypesReport = z.strictObject({
  version: z.string(),
  filesChecked: z.number().int(),
  problems: z.array(
    z.strictObject({
      file: z.string().optional(),
      line: z.number().int().optional(),
      column: z.number().int().optional(),
      code: z.number().int(),
      message: z.string(),
    }),
  ),
});
export type TypesReport = z.infer<typeof TypesReport>;

/** `measured` counts for quality; `security` is looked at by the security rules alone. */
export const LintInput = z.strictObject({ measured: z.array(z.string()), security: z.array(z.string()) });
export const LintMessage = z.strictObject({
  file: z.string(),
  line: z.number().int(),
  column: z.number().int(),
  rule: z.string(),
  message: z.string(),
  severity: z.enum(['error', 'warning']),
  isSecurity: z.boolean(),
});
export type LintMessage = z.infer<typeof LintMessage>;
export const LintReport = z.strictObject({
  eslintVersion: z.string(),
  jscpdVersion: z.string(),
  filesLinted: z.number().int(),
  filesScanned: z.number().int(),
  securityRules: z.number().int(),
  messages: z.array(LintMessage),
  /** Cyclomatic complexity of every function of the measured files. */
  complexities: z.array(
    z.strictObject({ file: z.string(), line: z.number().int(), what: z.string(), complexity: z.number().int() }),
  ),
  duplication: z.strictObject({
    sources: z.number().int(),
    lines: z.number().int(),
    clones: z.array(
      z.strictObject({
        file: z.string(),
        line: z.number().int(),
        endLine: z.number().int(),
        otherFile: z.string(),
        otherLine: z.number().int(),
      }),
    ),
    duplicatedLines: z.number().int(),
  }),
});
export type LintReport = z.infer<typeof LintReport>;

export const AstInput = z.strictObject({ files: z.array(z.string()), markup: z.array(z.string()) });
const Place = z.strictObject({ file: z.string(), line: z.number().int(), column: z.number().int() });
export const AstReport = z.strictObject({
  version: z.string(),
  files: z.number().int(),
  /** Lines with something other than blanks and comments. */
  codeLines: z.number().int(),
  functions: z.number().int(),
  uiTexts: z.number().int(),
  stubs: z.array(Place.extend({ rule: z.string(), message: z.string() })),
  exports: z.array(Place.extend({ name: z.string(), documented: z.boolean() })),
  /** Files that do not parse. */
  unparsable: z.array(Place.extend({ message: z.string() })),
});
export type AstReport = z.infer<typeof AstReport>;

export const SecretsReport = z.strictObject({
  version: z.string(),
  filesScanned: z.number().int(),
  bytesScanned: z.number().int(),
  binarySkipped: z.array(z.string()),
  secrets: z.array(
    z.strictObject({ file: z.string(), line: z.number().int(), column: z.number().int(), rule: z.string() }),
  ),
});

export const CoverageInput = z.strictObject({
  sources: z.array(z.string()),
  /** Working folder as the test runner saw it. */
  ranIn: z.string(),
});
export const CoverageReport = z.strictObject({
  rawFiles: z.number().int(),
  /** Raw records that V8 cannot have written for these files. */
  implausible: z.array(z.string()),
  loaded: z.array(z.string()),
  summary: z.record(
    z.string(),
    z.strictObject({ lines: z.number().int(), covered: z.number().int(), uncovered: z.array(z.number().int()) }),
  ),
  lcov: z.string(),
});
export type CoverageReport = z.infer<typeof CoverageReport>;

export const BundleReport = z.strictObject({
  version: z.string(),
  inputs: z.array(z.strictObject({ file: z.string(), bytes: z.number().int() })),
  problems: z.array(
    z.strictObject({ file: z.string().optional(), line: z.number().int().optional(), message: z.string() }),
  ),
});

export const DuplicationReport = z.strictObject({
  version: z.string(),
  sources: z.number().int(),
  lines: z.number().int(),
  duplicatedLines: z.number().int(),
  clones: z.array(
    z.strictObject({
      file: z.string(),
      line: z.number().int(),
      endLine: z.number().int(),
      otherFile: z.string(),
      otherLine: z.number().int(),
    }),
  ),
});
export type DuplicationReport = z.infer<typeof DuplicationReport>;

/** What test files hold, by their syntax. */
export const TestShapes = z.strictObject({
  files: z.array(
    z.strictObject({
      file: z.string(),
      assertions: z.number().int(),
      /** Tests that are skipped, todo or singled out. */
      switchedOff: z.number().int(),
      titles: z.array(z.string()),
    }),
  ),
});
export type TestShapes = z.infer<typeof TestShapes>;

export const MutantsInput = z.strictObject({
  files: z.array(z.strictObject({ file: z.string(), lines: z.array(z.number().int()) })),
  seed: z.string(),
  limit: z.number().int(),
});
export const MutantsReport = z.strictObject({
  version: z.string(),
  /** How many faults could be planted in the given lines; `mutants` is drawn from them. */
  possible: z.number().int(),
  mutants: z.array(
    z.strictObject({
      file: z.string(),
      line: z.number().int(),
      start: z.number().int(),
      end: z.number().int(),
      replacement: z.string(),
      what: z.string(),
    }),
  ),
});
export type MutantsReport = z.infer<typeof MutantsReport>;

/** One line of the test reporter's signed stream. */
export const TestRecord = z.discriminatedUnion('type', [
  z.strictObject({ seq: z.number().int(), type: z.literal('start'), cwd: z.string(), node: z.string() }),
  z.strictObject({
    seq: z.number().int(),
    type: z.literal('test'),
    name: z.string(),
    nesting: z.number().int(),
    file: z.string(),
    line: z.number().int(),
    outcome: z.enum(['passed', 'failed', 'skipped', 'todo']),
    isSuite: z.boolean(),
    /** Failed only because something below it failed. */
    isFailedByChildren: z.boolean(),
    durationMs: z.number(),
    message: z.string(),
    exitCode: z.number().int().nullable(),
  }),
  z.strictObject({ seq: z.number().int(), type: z.literal('end') }),
]);
export type TestRecord = z.infer<typeof TestRecord>;
