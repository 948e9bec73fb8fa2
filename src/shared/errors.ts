import { z } from 'zod';

/** Exit codes of the command line (fixed contract). */
export const EXIT = {
  passed: 0,
  internal: 1,
  badInput: 2,
  blocked: 3,
  unavailable: 4,
  cancelled: 5,
  verificationFailed: 6,
} as const;

/** Every code a `FleetError` may carry, with the exit code it ends a command with. */
export const ERROR_EXITS = {
  BAD_INPUT: EXIT.badInput,
  BAD_USAGE: EXIT.badInput,
  NOT_FOUND: EXIT.badInput,
  CONFLICT: EXIT.badInput,
  UNAUTHORIZED: EXIT.badInput,
  FORBIDDEN: EXIT.badInput,
  RATE_LIMITED: EXIT.unavailable,
  TOO_LARGE: EXIT.badInput,
  REDIS_UNAVAILABLE: EXIT.unavailable,
  REDIS_UNSAFE: EXIT.unavailable,
  MODEL_UNAVAILABLE: EXIT.unavailable,
  MODEL_REFUSED: EXIT.unavailable,
  NOT_RECORDED: EXIT.badInput,
  BUDGET_EXCEEDED: EXIT.blocked,
  NEEDS_UNMET: EXIT.blocked,
  PHASE_NOT_PASSED: EXIT.blocked,
  NOT_VERIFIED: EXIT.verificationFailed,
  SANDBOX_UNAVAILABLE: EXIT.unavailable,
  NETWORK_NOT_ALLOWED: EXIT.blocked,
  MCP_UNAVAILABLE: EXIT.blocked,
  TOOL_UNAVAILABLE: EXIT.unavailable,
  PORT_BUSY: EXIT.unavailable,
  API_UNAVAILABLE: EXIT.unavailable,
  BLOB_UNAVAILABLE: EXIT.unavailable,
  GIT_FAILED: EXIT.internal,
  UNKNOWN_VERSION: EXIT.unavailable,
  STALE_ATTEMPT: EXIT.internal,
  TIMEOUT: EXIT.internal,
  CANCELLED: EXIT.cancelled,
  AGENT_STUCK: EXIT.internal,
  INTERNAL: EXIT.internal,
} as const;

export type ErrorCode = keyof typeof ERROR_EXITS;

export const isErrorCode = (code: unknown): code is ErrorCode =>
  typeof code === 'string' && Object.hasOwn(ERROR_EXITS, code);

/** A place in a file a person can open. Lines and columns count from 1. */
export interface SourcePosition {
  file: string;
  line: number;
  column: number;
}

interface FleetErrorOptions {
  /** Could running the same job again succeed? */
  retry?: boolean;
  /** What to do about it: one imperative sentence. */
  remedy?: string;
  cause?: unknown;
  /** Safe to log and to show; never a secret. */
  details?: Record<string, unknown>;
}

/** The only error the project throws. `message` says what happened and to which thing; `remedy` says what to do. */
export class FleetError extends Error {
  readonly code: ErrorCode;
  readonly retry: boolean;
  readonly remedy: string | undefined;
  readonly details: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, options: FleetErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = 'FleetError';
    this.code = code;
    this.retry = options.retry ?? false;
    this.remedy = options.remedy;
    this.details = options.details ?? {};
  }

  get exitCode(): number {
    return ERROR_EXITS[this.code];
  }
}

/** One problem found in a file a person wrote. */
export interface Problem extends SourcePosition {
  message: string;
}

/** Formats a problem as `file:line:column: message`, the shape editors and terminals link. */
export const formatProblem = (problem: Problem): string =>
  `${problem.file}:${problem.line}:${problem.column}: ${problem.message}`;

/** All the problems of one or more files, reported together. */
export class InvalidInputError extends FleetError {
  readonly problems: readonly Problem[];

  constructor(subject: string, problems: readonly Problem[]) {
    super('BAD_INPUT', `${subject} is not valid:\n${problems.map((p) => `  ${formatProblem(p)}`).join('\n')}`);
    this.problems = problems;
  }
}

/** The message of anything thrown. A schema's list of problems becomes one line. */
export function errorMessage(err: unknown): string {
  if (!(err instanceof z.ZodError)) return err instanceof Error ? err.message : String(err);
  const [first, ...more] = err.issues;
  const place = first === undefined || first.path.length === 0 ? '' : `${first.path.join('.')}: `;
  const others = more.length === 0 ? '' : ` (and ${more.length} more)`;
  return `data is not of the expected form: ${place}${first?.message ?? 'unknown reason'}${others}`;
}
