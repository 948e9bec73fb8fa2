import type { ModelLimits } from '../shared/model-limits.ts';

export type Value = [labels: Record<string, string>, value: number];

export const gauge = (name: string, help: string, values: readonly Value[]): string[] => [
  `# HELP ${name} ${help}`,
  `# TYPE ${name} gauge`,
  ...values.map(([labels, value]) => {
    const shown = Object.entries(labels).map(([label, text]) => `${label}=${JSON.stringify(text)}`);
    return `${name}{${shown.join(',')}} ${value}`;
  }),
];
const labels = ({ model, endpoint }: { model: string; endpoint: string }) => ({ model, endpoint });

/** How the fleet stands with each model and endpoint. */
export function limitLines({ models, endpoints }: ModelLimits): string[] {
  return [
    ...gauge(
      'maestro_model_paused_seconds',
      'Time until a model is called again.',
      models.map((one) => [labels(one), one.pausedForMs / 1000]),
    ),
    ...gauge(
      'maestro_model_calls',
      'Calls to a model, by where they stand.',
      models.flatMap((one): Value[] => [
        [{ ...labels(one), state: 'under_way' }, one.callsUnderWay],
        [{ ...labels(one), state: 'waiting' }, one.waiting],
        [{ ...labels(one), state: 'parked' }, one.parked],
      ]),
    ),
    ...gauge(
      'maestro_model_budget_left',
      'What is left of the budget per minute.',
      models.flatMap((one) => one.budgets.map((budget): Value => [{ ...labels(one), kind: budget.kind }, budget.left])),
    ),
    ...gauge(
      'maestro_endpoint_breaker_open',
      '1 while an endpoint is not called because it failed, 0.5 while it is tried again.',
      endpoints.map(({ endpoint, breaker }) => [
        { endpoint },
        breaker === 'open' ? 1 : breaker === 'half_open' ? 0.5 : 0,
      ]),
    ),
  ];
}
