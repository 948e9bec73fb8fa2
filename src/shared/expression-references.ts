import type { ASTNode } from '@marcbachmann/cel-js';
import { childrenOf } from './cel.ts';
import { OPEN_PHASE } from './run-record.ts';
import { nearestHint } from './yaml-file.ts';

/** Something outside an expression that it reads. */
export type Reference =
  | { kind: 'input'; name: string }
  | { kind: 'status'; phase: string }
  | { kind: 'metric'; phase: string; metric: string }
  | { kind: 'output'; phase: string; output: string }
  | { kind: 'item' };

/** What an expression may read. */
export interface ReferenceScope {
  /** Input -> its type; `any` where names were checked before. */
  inputs: Readonly<Record<string, 'string' | 'number' | 'boolean'>> | 'any';
  /** Phases that have ended before; undefined where none may be read. */
  phases: readonly string[] | 'any' | undefined;
  /** Other phases, so that a message can say why they may not be read. */
  otherPhases?: readonly string[];
  /** Those among them that are repeated: together they have a status, and nothing else. */
  repeated?: readonly string[];
  /** Metrics that are declared; undefined when any name will do. */
  metrics?: readonly string[];
  /** Whether there is an `item`. */
  item: boolean;
}

interface Variable {
  /** Its name in CEL. */
  variable: string;
  type: 'string' | 'double' | 'bool' | 'dyn';
  reference: Reference;
  /** As people write it. */
  text: string;
  /** Stands for `has(...)`: is there a value at all? */
  isPresence: boolean;
}

interface Found {
  /** The expression with a variable in the place of each reference. */
  cel: string;
  /** The offset in the original text for every character of it. */
  offsets: readonly number[];
  variables: readonly Variable[];
  problems: readonly { offset: number; message: string }[];
}

const PREFIX = 'ref_';
const PARTS = ['status', 'metrics', 'outputs'];
const CEL_TYPES = { string: 'string', number: 'double', boolean: 'bool' } as const;

/**
 * Finds `inputs.NAME`, `phases.PHASE.status`, `phases.PHASE.metrics.NAME`, `phases.PHASE.outputs.NAME` and `item`,
 * checks that each can be read, and puts a typed variable in its place.
 */
export function findReferences(ast: ASTNode, text: string, scope: ReferenceScope): Found {
  const finder = new Finder(text, scope);
  finder.visit(ast);
  return finder.result();
}

/** Of an expression whose names were checked when its file was read. */
export const CHECKED_BEFORE: ReferenceScope = { inputs: 'any', phases: 'any', item: true };

/** One step of `a.b["c"]`: its name, and where that stands. */
interface Step {
  name: string;
  offset: number;
}

class Finder {
  readonly #text: string;
  readonly #scope: ReferenceScope;
  readonly #variables = new Map<string, Variable>();
  readonly #problems: { offset: number; message: string }[] = [];
  readonly #places: { start: number; end: number; variable: string }[] = [];

  constructor(text: string, scope: ReferenceScope) {
    this.#text = text;
    this.#scope = scope;
  }

  visit(node: ASTNode): void {
    const asked = node.op === 'call' && node.args[0] === 'has' ? node.args[1][0] : undefined;
    if (asked !== undefined && this.#take(asked, { place: node, isPresence: true })) return;
    if (this.#take(node, { place: node, isPresence: false })) return;
    if (node.op === 'id' && node.args.startsWith(PREFIX))
      this.#problem(node.start, `names that begin with "${PREFIX}" are taken`);
    if (node.op === '==' || node.op === '!=') this.#checkStatus(node.args);
    for (const child of childrenOf(node)) this.visit(child);
  }

  result(): Found {
    let cel = '';
    const offsets: number[] = [];
    let at = 0;
    const copy = (end: number): void => {
      for (; at < end; at += 1) {
        cel += this.#text[at] ?? '';
        offsets.push(at);
      }
    };
    for (const { start, end, variable } of this.#places.toSorted((a, b) => a.start - b.start)) {
      copy(start);
      for (const char of variable) {
        cel += char;
        offsets.push(start);
      }
      at = end;
    }
    copy(this.#text.length);
    return { cel, offsets, variables: [...this.#variables.values()], problems: this.#problems };
  }

  #problem(offset: number, message: string): void {
    this.#problems.push({ offset, message });
  }

  /** Whether the node is a reference, or the attempt at one; deeper paths are left to the node within. */
  #take(node: ASTNode, { place, isPresence }: { place: ASTNode; isPresence: boolean }): boolean {
    const steps = stepsOf(node);
    const [root, second, third, fourth] = steps ?? [];
    if (steps === undefined || root === undefined) return false;
    if (root.name === 'item' && steps.length === 1) {
      if (!this.#scope.item)
        this.#problem(root.offset, 'there is an `item` only in a phase with `foreach` or `matrix`');
      this.#put({ kind: 'item' }, 'dyn', { node, place, isPresence });
      return true;
    }
    if (root.name === 'inputs') {
      if (steps.length > 2) return false;
      if (second === undefined) this.#problem(root.offset, 'write inputs.NAME; the name cannot be computed');
      else this.#input(second, { node, place, isPresence });
      return true;
    }
    if (root.name !== 'phases') return false;
    if (this.#scope.phases === undefined) {
      this.#problem(root.offset, 'no phase can be read here: this is decided before any has run');
      return true;
    }
    if (steps.length > (third?.name === 'status' ? 3 : 4)) return false;
    if (second === undefined) this.#problem(root.offset, 'write phases.PHASE.status; the name cannot be computed');
    else if (this.#isPhase(second)) this.#ofPhase(second, third, fourth, { node, place, isPresence });
    return true;
  }

  #input(name: Step, at: { node: ASTNode; place: ASTNode; isPresence: boolean }): void {
    const { inputs } = this.#scope;
    const reference: Reference = { kind: 'input', name: name.name };
    if (inputs === 'any') return this.#put(reference, 'dyn', at);
    const type = Object.hasOwn(inputs, name.name) ? inputs[name.name] : undefined;
    if (type !== undefined) return this.#put(reference, CEL_TYPES[type], at);
    const known = Object.keys(inputs);
    const hint = known.length === 0 ? '; the workflow takes none' : nearestHint(name.name, known);
    this.#problem(name.offset, `there is no input "${name.name}"${hint}`);
  }

  #isPhase({ name, offset }: Step): boolean {
    const { phases = [], otherPhases = [] } = this.#scope;
    if (phases === 'any' || phases.includes(name)) return true;
    if (otherPhases.includes(name))
      this.#problem(offset, `phase "${name}" does not come before this one; add it to \`needs\``);
    else {
      const dashed = phases.find((phase) => phase.startsWith(`${name}-`));
      const hint = dashed === undefined ? nearestHint(name, phases) : ` (write phases["${dashed}"])`;
      this.#problem(offset, `there is no phase "${name}" before this one${hint}`);
    }
    return false;
  }

  #ofPhase(
    phase: Step,
    part: Step | undefined,
    name: Step | undefined,
    at: { node: ASTNode; place: ASTNode; isPresence: boolean },
  ): void {
    if (part === undefined) {
      this.#problem(phase.offset, `write phases.${phase.name}.status, .metrics.NAME or .outputs.NAME`);
    } else if (part.name === 'status') {
      this.#put({ kind: 'status', phase: phase.name }, 'string', at);
    } else if (!PARTS.includes(part.name)) {
      this.#problem(part.offset, `a phase has no "${part.name}"${nearestHint(part.name, PARTS)}`);
    } else if (this.#scope.repeated?.includes(phase.name) === true) {
      this.#problem(
        part.offset,
        `phase "${phase.name}" is repeated for each entry of a list: only its status can be read`,
      );
    } else if (name === undefined) {
      this.#problem(part.offset, `write phases.${phase.name}.${part.name}.NAME; the name cannot be computed`);
    } else if (part.name === 'metrics') {
      const { metrics } = this.#scope;
      if (metrics !== undefined && !metrics.includes(name.name))
        this.#problem(name.offset, `"${name.name}" is not a declared metric${nearestHint(name.name, metrics)}`);
      else this.#put({ kind: 'metric', phase: phase.name, metric: name.name }, 'double', at);
    } else this.#put({ kind: 'output', phase: phase.name, output: name.name }, 'dyn', at);
  }

  #put(
    reference: Reference,
    type: Variable['type'],
    { node, place, isPresence }: { node: ASTNode; place: ASTNode; isPresence: boolean },
  ): void {
    const text = this.#text.slice(node.start, node.end);
    const key = `${isPresence ? 'has ' : ''}${JSON.stringify(reference)}`;
    const known = this.#variables.get(key)?.variable ?? `${PREFIX}${this.#variables.size}_`;
    this.#variables.set(key, { variable: known, type: isPresence ? 'bool' : type, reference, text, isPresence });
    this.#places.push({ start: place.start, end: place.end, variable: known });
  }

  /** A status that a phase before this one can never have would make a comparison that never decides anything. */
  #checkStatus(sides: readonly ASTNode[]): void {
    const isStatus = sides.some((side) => stepsOf(side)?.[2]?.name === 'status');
    const literal = sides.flatMap((side) =>
      side.op === 'value' && typeof side.args === 'string' ? [{ word: side.args, start: side.start }] : [],
    )[0];
    if (!isStatus || literal === undefined) return;
    const { word } = literal;
    if (OPEN_PHASE.some((status) => status === word)) return;
    const hint = nearestHint(word, OPEN_PHASE);
    this.#problem(
      literal.start,
      `the status of a phase before this one is never "${word}"${hint}: it is one of ${OPEN_PHASE.join(', ')}`,
    );
  }
}

/** The names of `a.b["c"]`, from the left; undefined for anything else. */
function stepsOf(node: ASTNode): Step[] | undefined {
  if (node.op === 'id') return [{ name: node.args, offset: node.start }];
  if (node.op === '.') {
    const before = stepsOf(node.args[0]);
    return before === undefined
      ? undefined
      : [...before, { name: node.args[1], offset: node.end - node.args[1].length }];
  }
  if (node.op !== '[]') return undefined;
  const [owner, key] = node.args;
  if (key.op !== 'value' || typeof key.args !== 'string') return undefined;
  const before = stepsOf(owner);
  return before === undefined ? undefined : [...before, { name: key.args, offset: key.start }];
}
