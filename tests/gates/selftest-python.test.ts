import { describe, expect, test } from 'vitest';
import type { Collector } from '../../src/gates/collector.ts';
import { allCollectors } from '../../src/gates/collectors/registry.ts';
import { codeCollectors } from '../../src/gates/collectors/code-collectors.ts';
import { ProvenCollectors, partsOf } from '../../src/gates/selftest/proven-collectors.ts';
import { pythonSelfTests } from '../../src/gates/selftest/python-self-tests.ts';
import { runSelfTest } from '../../src/gates/selftest/run-self-test.ts';
import { type SelfTest, type SelfTestResult, faultOfProof } from '../../src/gates/selftest/self-test.ts';
import { measurePhase } from '../../src/gates/measure.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { project } from './collectors/code-support.ts';
import { pythonProject } from './collectors/python-support.ts';
import { realSandbox } from './integrity/support.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { shippedPolicies } from './support.ts';

const logger = silentLogger();
const { signal } = new AbortController();
const pythonParts = allCollectors.flatMap(partsOf).filter(({ id }) => id.endsWith('.python'));
const part = (id: string): Collector => {
  const found = pythonParts.find((each) => each.id === id);
  if (found === undefined) throw new Error(`no part ${id}`);
  return found;
};
const selfTestOf = (id: string): SelfTest => {
  const found = pythonSelfTests[id];
  if (found === undefined) throw new Error(`no self-test ${id}`);
  return found;
};
const run = async (collector: Collector, selfTest = selfTestOf(collector.id)): Promise<SelfTestResult> =>
  runSelfTest({ collector, selfTest, sandbox: await realSandbox(), logger, signal });

describe('the Python part of each collector', () => {
  test('has a self-test of its own', () => {
    expect(pythonParts.map(({ id }) => id).toSorted()).toEqual(Object.keys(pythonSelfTests).toSorted());
    expect(pythonParts).toHaveLength(8);
  });

  test('is caught when its readings do not depend on the code', async () => {
    const stubs = part('stubs.python');
    const broken: Collector = {
      ...stubs,
      collect: async (context) => {
        const collected = await stubs.collect(context);
        return { ...collected, values: { stub_rate: { value: 0, examined: 9 } } };
      },
    };
    expect(await run(broken)).toMatchObject({
      passed: false,
      reason: 'stub_rate of the twin "rotten code with few tests" is 0 of 9 examined, it must be at least 0.05',
    });
  });
});

describe('what is believed of a project', () => {
  const stubs = codeCollectors.find(({ id }) => id === 'stubs');
  if (stubs === undefined) throw new Error('no collector stubs');

  /** Every self-test passes, but that of Python does not. */
  const proving = async (python: SelfTest): Promise<ProvenCollectors> =>
    new ProvenCollectors({
      sandbox: await realSandbox(),
      logger,
      signal,
      definitions: {
        stubs: { phase: 'design', clean: { expect: { stub_rate: { atLeast: 0 } } }, defects: [] },
        'stubs.python': python,
      },
    });
  const failing: SelfTest = { phase: 'design', clean: { expect: { stub_rate: { atLeast: 9 } } }, defects: [] };

  test('rests on the self-test of its own stack', async () => {
    const proven = await proving(failing);
    const [javascript, python] = [await project(), await pythonProject()];
    const both = await project({ 'pyproject.toml': '[project]\nname = "both"\n' });
    const faultIn = async (root: string): Promise<string | undefined> =>
      faultOfProof(stubs, await proven.resultOf(stubs, signal, root));
    expect(await faultIn(javascript)).toBeUndefined();
    expect(await faultIn(python)).toMatch(/the self-test of collector `stubs.python` did not pass on this machine/);
    expect(await faultIn(both)).toMatch(/`stubs.python` did not pass/);
  });

  test('is what a measurement asks for: a project of the other stack is measured, this one is in error', async () => {
    const proven = await proving(failing);
    const readingIn = async (root: string): Promise<string> => {
      const { measurements } = await measurePhase({
        root,
        scratch: await tempFolder(),
        phase: 'implementation',
        policySet: shippedPolicies,
        policy: 'implementation',
        sandbox: await realSandbox(),
        run: { approvals: [], judgements: [], phaseStartedAt: undefined, round: 0, inputs: {} },
        collectors: [stubs],
        selftest: proven,
        signal,
        logger,
      });
      const found = measurements.find(({ metric }) => metric === 'stub_rate');
      return found?.status === 'measured' ? `measured ${found.value}` : (found?.reason ?? 'left out');
    };
    expect(await readingIn(await project())).toBe('measured 0');
    expect(await readingIn(await pythonProject())).toMatch(/self-test of collector `stubs.python` did not pass/);
  });

  test('is an error where there is no Python toolchain, which the line of a worker says in words', async () => {
    const proven = await proving({ ...failing, needs: () => Promise.resolve('no Python toolchain: there is none') });
    const fault = faultOfProof(stubs, await proven.resultOf(stubs, signal, await pythonProject()));
    expect(fault).toContain('not run: no Python toolchain');
    expect(await proven.proveAll([stubs])).toMatch(
      /^self-test: 1 of 1 collectors tell .*; not run: no Python toolchain: there is none: what stubs\.python would measure is in error$/,
    );
  });
});
