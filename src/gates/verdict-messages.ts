import type { ComparisonOperator, Condition } from './conditions.ts';

/** A number for people: short, but never so rounded that it seems to be on the other side of `beside`. */
export function formatValue(value: number, beside?: number): string {
  const short = String(Number(value.toFixed(4)));
  return beside !== undefined && Number(short) === beside && value !== beside ? String(value) : short;
}

const HOLDS: Readonly<Record<ComparisonOperator, (value: number, literal: number) => boolean>> = {
  '==': (value, literal) => value === literal,
  '!=': (value, literal) => value !== literal,
  '<': (value, literal) => value < literal,
  '<=': (value, literal) => value <= literal,
  '>': (value, literal) => value > literal,
  '>=': (value, literal) => value >= literal,
};

/** `test_coverage 0.61, required >= 0.80`: the parts that failed, or all parts when the condition held. */
export function conditionMessage(condition: Condition, values: ReadonlyMap<string, number>, held: boolean): string {
  const parts = condition.conjunction?.filter(
    (part) => held || !HOLDS[part.operator](values.get(part.metric) ?? Number.NaN, part.literal),
  );
  if (parts) {
    return parts
      .map((part) => {
        const value = formatValue(values.get(part.metric) ?? Number.NaN, part.literal);
        return `${part.metric} ${value}, required ${part.operator} ${part.literalText}`;
      })
      .join('; ');
  }
  const read = condition.metrics.map((metric) => `${metric} ${formatValue(values.get(metric) ?? Number.NaN)}`);
  return `${read.join(', ')}; required ${condition.text}`;
}

/** `clarity_score 0.7, required at least 0.8`. */
export const criterionMessage = (metric: string, value: number, threshold: number, direction: 'min' | 'max'): string =>
  `${metric} ${formatValue(value, threshold)}, required ${direction === 'min' ? '>=' : '<='} ${threshold}`;
