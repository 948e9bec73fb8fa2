import { ROTTEN } from './code-twins.ts';
import type { Edits, Expected, SelfTest } from './self-test.ts';

const API = 'docs/design/openapi.yaml';
const each = (metrics: readonly string[], expected: Expected): Record<string, Expected> =>
  Object.fromEntries(metrics.map((metric) => [metric, expected]));

/** Documents that have the right names and say nothing. */
const HOLLOW: Edits = {
  'README.md': '# Links\n',
  'docs/api.md': '# API\n\nTo be written.\n',
  'docs/requirements/prd.md':
    '# Links\n\n## Problem\n\nTBD\n\n## Functional requirements\n\n- **FR-1** It is fast and easy to use.\n- It scales.\n',
  'docs/requirements/user-stories.md': '# User stories\n\n### US-1 Shorten an address (FR-1)\n\nTBD\n',
  'docs/design/design.md':
    '# Design\n\n## Overview\n\nTBD\n\n## Components\n\nA server.\n\n## Scalability\n\nIt will be fine.\n',
  'docs/design/architecture.md': '# Architecture\n\nA picture follows.\n',
  'docs/adr/0001-counter.md': '# Codes come from a counter\n\n## Context\n\nCodes must be short.\n',
  'docs/review/retrospective.md': '# Retrospective\n\n## What went well\n\nAll.\n\n## Actions\n\n- TBD\n',
  'docs/review/lessons-learned.md': '# Lessons\n\nNone yet.\n',
  'docs/deployment/rollback-plan.md': '# Rollback\n\n## Triggers\n\nTBD\n\n## Steps\n\n1. Undo.\n',
  'src/backend/debt.js': '// TODO: write this\n// FIXME: and this\nexport const debt = 2;\n',
};

const FLAGS = [
  'architecture_document_complete',
  'scalability_assessment_complete',
  'retrospective_completed',
  'lessons_documented',
  'rollback_plan_ready',
];
const SHARES = [
  'documentation_completeness',
  'clarity_score',
  'architecture_documentation',
  'scalability_assessment',
  'documentation_updated',
];

const documents: SelfTest = {
  phase: 'implementation',
  clean: {
    expect: {
      ...each([...FLAGS, ...SHARES], { atLeast: 1 }),
      requirements_count: { atLeast: 4 },
      user_stories_count: { atLeast: 2 },
      adr_count: { atLeast: 1 },
      improvement_actions: { atLeast: 3 },
      technical_debt_items: { atMost: 0 },
    },
  },
  defects: [
    {
      what: 'documents that have the right names and say nothing',
      edits: HOLLOW,
      expect: {
        ...each(FLAGS, { atMost: 0 }),
        ...each(SHARES, { atMost: 0.6 }),
        requirements_count: { atMost: 1 },
        user_stories_count: { atMost: 0 },
        adr_count: { atMost: 0 },
        improvement_actions: { atMost: 0 },
        technical_debt_items: { atLeast: 2 },
      },
    },
    {
      what: 'documents that are not there',
      edits: { 'docs/requirements/prd.md': null, 'docs/deployment/rollback-plan.md': null },
      expect: each(['documentation_completeness', 'clarity_score', 'rollback_plan_ready'], {
        notEvaluable: /does not exist/,
      }),
    },
  ],
};

const stories: SelfTest = {
  phase: 'requirements',
  clean: { expect: { acceptance_criteria_defined: { atLeast: 1 } } },
  defects: [
    {
      what: 'a story without a scenario, and a scenario without Then',
      edits: {
        'docs/requirements/acceptance/links.feature': [
          ['    Then a code comes back\n', ''],
          ['@US-2', '@later'],
        ],
      },
      expect: { acceptance_criteria_defined: { atMost: 0 } },
    },
    {
      what: 'a feature file that is no Gherkin',
      edits: { 'docs/requirements/acceptance/links.feature': 'Whatever: this is\n' },
      expect: { acceptance_criteria_defined: { notEvaluable: /expected/ } },
    },
  ],
};

const traceability: SelfTest = {
  phase: 'testing',
  clean: { expect: each(['requirements_traceability', 'requirements_met_count'], { atLeast: 1 }) },
  defects: [
    {
      what: 'requirements that no story, design or running test names',
      edits: {
        'docs/requirements/user-stories.md': [
          ['(FR-1, FR-3)', '(FR-1)'],
          ['(FR-2)', ''],
        ],
        'tests/acceptance/links.test.js': [
          ['(FR-2)', ''],
          ['(FR-3)', ''],
          ["test('US-2", "test.skip('US-2"],
        ],
      },
      expect: {
        requirements_traceability: { atMost: 0.34 },
        requirements_met_count: { atMost: 0.34 },
      },
    },
  ],
};

const openapi: SelfTest = {
  phase: 'design',
  clean: { expect: { api_specification_completeness: { atLeast: 1 }, api_endpoints_count: { atLeast: 5 } } },
  defects: [
    {
      what: 'operations without an id, a summary, a schema or an error response',
      edits: {
        [API]: [
          ['      operationId: health\n', ''],
          ['      summary: Makes a code for an address\n', ''],
          ["        '404': { $ref: '#/components/responses/Problem' }\n    delete:\n", '    delete:\n'],
          ["            schema: { $ref: '#/components/schemas/NewLink' }\n", ''],
        ],
      },
      expect: { api_specification_completeness: { atMost: 0.9 } },
    },
    {
      what: 'an API document that breaks the standard',
      edits: { [API]: 'openapi: 3.1.0\npaths:\n  /health:\n    get: { responses: 12 }\n' },
      expect: { api_specification_completeness: { atMost: 0 }, api_endpoints_count: { atMost: 1 } },
    },
  ],
};

const database: SelfTest = {
  phase: 'backend',
  clean: { expect: { database_schema_defined: { atLeast: 1 }, database_migration_safe: { atLeast: 1 } } },
  defects: [
    {
      what: 'a table without a key, and a migration that cannot go back',
      edits: {
        'db/schema.sql': [['code TEXT PRIMARY KEY', 'code TEXT']],
        'migrations/001_links.down.sql': 'SELECT 1;\n',
      },
      expect: { database_schema_defined: { atMost: 0 }, database_migration_safe: { atMost: 0 } },
    },
    {
      what: 'a schema that is no SQL',
      edits: { 'db/schema.sql': 'CREATE TABEL links;\n' },
      expect: { database_schema_defined: { atMost: 0 } },
    },
  ],
};

const bugs: SelfTest = {
  phase: 'testing',
  clean: {
    expect: {
      critical_bugs: { atMost: 0 },
      high_priority_bugs: { atMost: 0 },
      bugs_found: { atMost: 2 },
      bugs_fixed: { atLeast: 0.5 },
    },
  },
  defects: [
    {
      what: 'an open bug, and bugs that are called fixed and whose tests fail, are skipped or are not there',
      edits: {
        'docs/testing/bugs.yaml': `bugs:
  - { id: BUG-1, title: Taken without a scheme, severity: critical, status: fixed, test: tests/regression/bug-1.test.js }
  - { id: BUG-2, title: Lost on restart, severity: high, status: open }
  - { id: BUG-3, title: Skipped, severity: critical, status: fixed, test: tests/regression/bug-3.test.js }
  - { id: BUG-4, title: Untested, severity: high, status: fixed }
`,
        'tests/regression/bug-1.test.js': [["isAddress('example.com'), false", "isAddress('example.com'), true"]],
        'tests/regression/bug-3.test.js': "import { test } from 'node:test';\n\ntest.skip('BUG-3', () => {});\n",
      },
      expect: {
        critical_bugs: { atLeast: 2 },
        high_priority_bugs: { atLeast: 2 },
        bugs_found: { atLeast: 4 },
        bugs_fixed: { atMost: 0 },
      },
    },
  ],
};

const overall: SelfTest = {
  phase: 'implementation',
  clean: { expect: { quality_score: { atLeast: 85 } } },
  defects: [
    { what: 'rotten code with few tests', edits: ROTTEN, expect: { quality_score: { atMost: 60 } } },
    {
      what: 'a part that cannot be measured',
      edits: { 'docs/requirements/prd.md': null },
      expect: { quality_score: { notEvaluable: /could not be measured/ } },
    },
  ],
};

/** Defects in documents and lists, for the collectors that read them. */
export const documentSelfTests: Readonly<Record<string, SelfTest>> = {
  documents,
  stories,
  traceability,
  openapi,
  database,
  bugs,
  overall,
};
