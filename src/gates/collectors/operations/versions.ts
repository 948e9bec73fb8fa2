/** Compares versions as Semantic Versioning 2.0.0 orders them. */

interface Version {
  numbers: readonly bigint[];
  /** What stands behind a hyphen: such a version comes before the one without. */
  stage: readonly string[];
}

const FORM = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([\dA-Za-z.-]+))?(?:\+[\dA-Za-z.-]+)?$/;

/** Undefined when the text is no version. */
function read(text: string): Version | undefined {
  const [, major, minor = '0', patch = '0', stage] = FORM.exec(text) ?? [];
  if (major === undefined) return undefined;
  return { numbers: [major, minor, patch].map(BigInt), stage: stage === undefined ? [] : stage.split('.') };
}

const compareParts = (a: string, b: string): number => {
  const [isA, isB] = [/^\d+$/.test(a), /^\d+$/.test(b)];
  if (isA && isB) return BigInt(a) < BigInt(b) ? -1 : Number(BigInt(a) > BigInt(b));
  if (isA !== isB) return isA ? -1 : 1;
  return a < b ? -1 : Number(a > b);
};

/** Negative when `a` comes first; undefined when one of them is no version. */
export function compareVersions(a: string, b: string): number | undefined {
  const [left, right] = [read(a), read(b)];
  if (left === undefined || right === undefined) return undefined;
  for (const [index, number] of left.numbers.entries()) {
    const other = right.numbers[index] ?? 0n;
    if (number !== other) return number < other ? -1 : 1;
  }
  if (left.stage.length === 0 || right.stage.length === 0) return right.stage.length - left.stage.length;
  for (const [index, part] of left.stage.entries()) {
    const other = right.stage[index];
    const order = other === undefined ? 1 : compareParts(part, other);
    if (order !== 0) return order;
  }
  return left.stage.length - right.stage.length;
}
