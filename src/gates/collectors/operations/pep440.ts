/** Compares versions of Python packages as PEP 440 orders them. */

const FORM =
  /^v?(?:(\d+)!)?(\d+(?:\.\d+)*)(?:[-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?(\d*))?(?:-(\d+)|[-_.]?(post|rev|r)[-_.]?(\d*))?(?:[-_.]?(dev)[-_.]?(\d*))?(?:\+([a-z\d]+(?:[-_.][a-z\d]+)*))?$/;
const STAGES: Readonly<Record<string, number>> = {
  a: -3,
  alpha: -3,
  b: -2,
  beta: -2,
  c: -1,
  rc: -1,
  pre: -1,
  preview: -1,
};
/** Before every stage: a development release of the version itself. After: no stage at all. */
const [BEFORE, NONE] = [-4, 0];

interface Version {
  release: readonly number[];
  /** Epoch; then stage with number, post and dev, each so that a smaller one comes first. */
  epoch: number;
  rest: readonly number[];
  local: string;
}

const number = (digits: string | undefined): number => (digits === undefined ? 0 : Number(digits));

/** Undefined when the text is no version. */
function read(text: string): Version | undefined {
  const match = FORM.exec(text.trim().toLowerCase());
  if (match === null) return undefined;
  const [, epoch = '0', release = '', stage, stageNumber, bare, post, postNumber, dev, devNumber, local = ''] = match;
  const isPost = post !== undefined || bare !== undefined;
  const stageRank = stage === undefined ? (dev !== undefined && !isPost ? BEFORE : NONE) : (STAGES[stage] ?? NONE);
  return {
    epoch: Number(epoch),
    release: release.split('.').map(Number),
    rest: [
      stageRank,
      number(stageNumber),
      isPost ? 1 + number(bare ?? postNumber) : 0,
      dev === undefined ? Number.POSITIVE_INFINITY : number(devNumber),
    ],
    local,
  };
}

const compareNumbers = (a: readonly number[], b: readonly number[]): number => {
  for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
    const [left, right] = [a[index] ?? 0, b[index] ?? 0];
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
};

/** Negative when `a` comes first; undefined when one of them is no version. */
export function comparePythonVersions(a: string, b: string): number | undefined {
  const [left, right] = [read(a), read(b)];
  if (left === undefined || right === undefined) return undefined;
  return (
    left.epoch - right.epoch ||
    compareNumbers(left.release, right.release) ||
    compareNumbers(left.rest, right.rest) ||
    left.local.localeCompare(right.local)
  );
}
