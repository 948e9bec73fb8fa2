/** A workflow file from the needs of its phases. What a phase says beside its needs comes in the second table. */
export function workflowText(
  phases: Readonly<Record<string, readonly string[]>>,
  more: Readonly<Record<string, string>> = {},
  defaults = 'rework: 0',
): string {
  const lines = Object.entries(phases).map(
    ([name, needs]) =>
      `  ${name}: { needs: [${needs.join(', ')}]${/\bpersonas?:/.test(more[name] ?? '') ? '' : ', persona: author'}${more[name] === undefined ? '' : `, ${more[name]}`} }`,
  );
  return `apiVersion: maestro/v1\nname: case\ndefaults: { ${defaults} }\nphases:\n${lines.join('\n')}\n`;
}
