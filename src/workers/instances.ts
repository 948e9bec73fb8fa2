import { FleetError, errorMessage } from '../shared/errors.ts';
import { described } from '../shared/expressions.ts';
import { MOST_INSTANCES } from '../shared/instance-limits.ts';
import { markedValue } from '../shared/marked-text.ts';
import { Name } from '../shared/names.ts';
import { ListItem, type PlannedPhase, type RunPlan, inputsOf } from '../shared/run-record.ts';
import { renderText } from '../shared/templates.ts';
import type { ListSource } from '../shared/workflow-schema.ts';
import { prepareExpression, withResult } from './phase-conditions.ts';
import type { WorkerContext } from './worker-context.ts';

type Repeated = PlannedPhase & { repeat: NonNullable<PlannedPhase['repeat']> };

export const isRepeated = (phase: PlannedPhase): phase is Repeated => phase.repeat !== undefined;

/**
 * The instances of a repeated phase, one for each entry of its list. Throws `BAD_INPUT` when there is no list, or one
 * that cannot be made into phases.
 */
export async function instancesFor(
  ctx: Pick<WorkerContext, 'store' | 'blobs'>,
  plan: RunPlan,
  phase: Repeated,
): Promise<PlannedPhase[]> {
  const { lists, isMatrix } = phase.repeat;
  const read: [string, ListItem[]][] = [];
  for (const [name, source] of Object.entries(lists))
    read.push([name, await itemsOf(ctx, plan, { key: isMatrix ? `matrix.${name}` : 'foreach', source, phase })]);
  const items = isMatrix ? combinations(read) : (read[0]?.[1] ?? []);
  if (items.length > MOST_INSTANCES)
    throw new FleetError('BAD_INPUT', `${items.length} instances are too many: at most ${MOST_INSTANCES}`);
  const instances = items.map((item) => instanceOf(plan, phase, item));
  const seen = new Map<string, ListItem>();
  for (const { name, instance } of instances) {
    const twin = seen.get(name);
    if (twin !== undefined)
      throw new FleetError(
        'BAD_INPUT',
        `two entries of its list, ${described(twin)} and ${described(instance?.item)}, both make the instance ${name}`,
      );
    if (instance !== undefined) seen.set(name, instance.item);
  }
  return instances;
}

async function itemsOf(
  ctx: Pick<WorkerContext, 'store' | 'blobs'>,
  plan: RunPlan,
  of: { key: string; source: ListSource; phase: PlannedPhase },
): Promise<ListItem[]> {
  const { key, source, phase } = of;
  let list: unknown = source;
  if (typeof source === 'string') {
    const prefix = phase.prefix ?? '';
    const { expression, read } = await prepareExpression(ctx, plan, { text: source, prefix, wanted: 'list' });
    list = withResult(key, source, () => expression.evaluate(read));
  }
  if (!Array.isArray(list)) throw new FleetError('BAD_INPUT', `\`${key}\` gives ${described(list)}, which is no list`);
  return list.map((entry: unknown, index) => {
    const item = ListItem.safeParse(entry);
    if (item.success) return item.data;
    throw new FleetError(
      'BAD_INPUT',
      `entry ${index + 1} of \`${key}\` is ${described(entry)}: a value, or an object of values, is needed`,
    );
  });
}

/** Every combination of the entries of several lists, as `{ list: entry }`. */
function combinations(lists: readonly [string, ListItem[]][]): ListItem[] {
  let all: Record<string, string | number | boolean>[] = [{}];
  for (const [name, items] of lists) {
    const values = items.map((item) => {
      if (typeof item !== 'object') return item;
      throw new FleetError('BAD_INPUT', `\`matrix.${name}\` holds ${described(item)}: a matrix takes plain values`);
    });
    all = all.flatMap((before) => values.map((value) => ({ ...before, [name]: value })));
    if (all.length > MOST_INSTANCES)
      throw new FleetError('BAD_INPUT', `the matrix has more than ${MOST_INSTANCES} combinations`);
  }
  return all;
}

function instanceOf(plan: RunPlan, phase: Repeated, item: ListItem): PlannedPhase {
  const { repeat, conditions: _decidedBefore, concurrency, ...rest } = phase;
  const key = keyOf(item, repeat.isMatrix);
  const name = Name.safeParse(`${phase.name}--${key}`);
  if (!name.success || key === '')
    throw new FleetError(
      'BAD_INPUT',
      `no name for an instance of ${phase.name} can be made of ${described(item)}: a short text, a number, or an object with a \`name\` is needed`,
    );
  const values = { inputs: inputsOf(plan, phase.prefix), item };
  const text = (written: string, mark?: (value: string) => string): string => {
    try {
      return String(renderText(written, values, mark));
    } catch (err) {
      throw new FleetError(
        'BAD_INPUT',
        `"${written}" cannot be filled in for ${described(item)}: ${errorMessage(err)}`,
      );
    }
  };
  return {
    ...rest,
    name: name.data,
    description: text(phase.description, markedValue),
    ...(concurrency === undefined ? {} : { concurrency: { ...concurrency, group: text(concurrency.group) } }),
    instance: { of: phase.name, item },
  };
}

/** `Order Service` -> `order-service`; an object is called by its `name`, an entry of a matrix by all its values. */
function keyOf(item: ListItem, isMatrix: boolean): string {
  const named = typeof item === 'object' ? (isMatrix ? Object.values(item).join('-') : (item['name'] ?? '')) : item;
  return String(named)
    .toLowerCase()
    .replaceAll(/[^a-z0-9_]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
}
