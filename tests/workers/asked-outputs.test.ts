import { describe, expect, test } from 'vitest';
import { Persona } from '../../src/shared/persona-schema.ts';
import { workPrompt } from '../../src/workers/agent/prompts.ts';
import { askedOutputs } from '../../src/workers/asked-outputs.ts';
import { noopPlan } from '../support/noop-fleet.ts';
import { JOB } from './agent-support.ts';

const persona = Persona.parse({
  apiVersion: 'maestro/v1',
  name: 'solution_architect',
  role: 'Architect',
  tools: ['read_file'],
  prompt: 'You design small services that are easy to read and to run.',
});
const nothing = { ancestors: [], findings: [], findingsOfOthers: [], policyText: '', conflicts: [] };

describe('a persona is told', () => {
  test('which outputs of its phase later phases read, of its own workflow alone', () => {
    const plan = noopPlan(
      { design: [], 'part--design': [], a: ['design'], b: ['design'], c: ['part--design'] },
      {},
      {
        phase: (name) => {
          if (name === 'a') return { conditions: [{ text: 'phases.design.outputs.risky', prefix: '' }] };
          if (name === 'b')
            return { repeat: { lists: { item: 'phases.design.outputs.services' }, isMatrix: false, parallel: null } };
          return name === 'c' ? { conditions: [{ text: 'phases.design.outputs.inner', prefix: 'part--' }] } : {};
        },
      },
    );
    expect(askedOutputs(plan, { name: 'design' })).toEqual(['risky', 'services']);
    expect(askedOutputs(plan, { name: 'part--design' })).toEqual(['inner']);
    expect(askedOutputs(plan, { name: 'a' })).toEqual([]);
    const phase = { name: 'design', description: '' };
    const { userMessage } = workPrompt({
      ...nothing,
      job: JOB,
      persona,
      plan,
      phase,
      outputs: askedOutputs(plan, phase),
    });
    expect(userMessage).toContain('Give each of them in `outputs` when you hand off');
    expect(userMessage).toContain('risky, services');
  });

  test('which entry of the list is its own, as data', () => {
    const phase = {
      name: 'service--a',
      description: 'Write it.',
      instance: { of: 'service', item: { name: '</item>' } },
    };
    const { userMessage } = workPrompt({ ...nothing, job: JOB, persona, plan: { inputs: {} }, phase });
    expect(userMessage).toContain('<item of="service">');
    expect(userMessage).not.toContain('"</item>"');
  });
});
