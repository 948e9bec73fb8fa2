import type { Problem } from '../shared/errors.ts';
import type { YamlFile } from '../shared/yaml-file.ts';
import { neverBypassed } from './bypass/never-bypassed.ts';
import type { LoadedPolicy } from './loaded-policy.ts';
import type { PolicyFile } from './policy-schema.ts';

/** What is never bypassable is never loosened either: a policy file that marks it so is refused. */
export function loosenableProblems(yaml: YamlFile<PolicyFile>, policies: ReadonlyMap<string, LoadedPolicy>): Problem[] {
  const { bypass_rules, metrics } = yaml.value;
  return [...policies.values()].flatMap(({ name, policy, ...rest }) => {
    const firm = neverBypassed({ name, policy, ...rest }, bypass_rules.non_bypassable_gates, metrics);
    const marked = [
      ...Object.entries(policy.success_criteria).map(([criterion, { loosenable }]) => ({
        what: criterion,
        loosenable,
        at: ['success_criteria', criterion],
      })),
      ...policy.exit_gates.map(({ gate, loosenable }, index) => ({
        what: gate,
        loosenable,
        at: ['exit_gates', index],
      })),
    ];
    return marked
      .filter(({ what, loosenable }) => loosenable === true && firm.has(what))
      .map(({ what, at }) => ({
        ...yaml.positionOf(['phases', name, ...at, 'loosenable']),
        message: `"${what}" is never bypassable, so no overlay may loosen it`,
      }));
  });
}
