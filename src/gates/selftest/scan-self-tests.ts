import type { Defect, Edits, SelfTest } from './self-test.ts';

/** The same defects in one stack: everything that a scan can see, code that cannot be parsed, one more dependency. */
interface Planted {
  rotten: Edits;
  unparsable: Edits;
  dependent: Edits;
}

export type Twins = Pick<SelfTest, 'clean' | 'defects'>;

export const rottenCode = (edits: Edits, expect: Defect['expect']): Defect => ({
  what: 'rotten code with few tests',
  edits,
  expect,
});

/** What scans of code must say of their twins, whatever the language. */
export const scanTwins = ({ rotten, unparsable, dependent }: Planted): Readonly<Record<string, Twins>> => {
  const notParsed = (metric: string): Defect => ({
    what: 'code that cannot be parsed',
    edits: unparsable,
    expect: { [metric]: { notEvaluable: /cannot be parsed/ } },
  });
  return {
    quality: {
      clean: { expect: { code_quality_score: { atLeast: 8 }, component_complexity: { atMost: 8 } } },
      defects: [
        rottenCode(rotten, { code_quality_score: { atMost: 6 }, component_complexity: { atLeast: 12 } }),
        notParsed('code_quality_score'),
      ],
    },
    stubs: {
      clean: { expect: { stub_rate: { atMost: 0 } } },
      defects: [rottenCode(rotten, { stub_rate: { atLeast: 0.05 } }), notParsed('stub_rate')],
    },
    security: {
      clean: {
        expect: {
          security_vulnerabilities: { atMost: 0 },
          security_scan_complete: { atLeast: 1 },
          security_testing_complete: { atLeast: 1 },
        },
      },
      defects: [
        // A secret in the code, and the evaluation of text.
        rottenCode(rotten, { security_vulnerabilities: { atLeast: 2 }, security_testing_complete: { atMost: 0 } }),
        {
          what: 'a dependency that no advisory was consulted for',
          edits: dependent,
          expect: {
            security_vulnerabilities: { notEvaluable: /depend/i },
            security_scan_complete: { notEvaluable: /depend/i },
          },
        },
      ],
    },
    'docs-coverage': {
      clean: { expect: { documentation_coverage: { atLeast: 1 } } },
      defects: [rottenCode(rotten, { documentation_coverage: { atMost: 0.6 } })],
    },
  };
};
