import type { SelfTest } from './self-test.ts';

const SERVER = 'src/backend/server.js';
const PAGE = 'src/frontend/index.html';
/** Far above what a loaded machine adds to an answer, and far below what the planted delay adds. */
const SLOW_MS = 800;

/** Requests that come together are answered late, every second one with an error. */
const UNDER_LOAD = `    served += 1;
    open += 1;
    response.on('close', () => {
      open -= 1;
      if (open === 0) late = 0;
    });
    await new Promise((done) => { setTimeout(done, 25); });
    if (open > 2 || late > 0) {
      late += 1;
      const status = late % 2 === 0 ? 500 : 404;
      setTimeout(() => json(response, status, { error: 'too much' }), ${SLOW_MS});
      return;
    }`;

const service: SelfTest = {
  phase: 'backend',
  clean: {
    expect: {
      api_contract_compliance: { atLeast: 1 },
      api_endpoints_implemented: { atLeast: 5 },
      health_check_implemented: { atLeast: 1 },
      observability_configured: { atLeast: 1 },
      smoke_tests_passed: { atLeast: 1 },
      performance_slo_met: { atLeast: 0.6 },
      response_time_ms: { atMost: SLOW_MS - 100 },
      response_time_p95: { atMost: SLOW_MS - 10 },
      error_rate: { atMost: 0.01 },
    },
  },
  defects: [
    {
      what: 'a service that is ill, breaks its contract, and fails and crawls under load',
      edits: {
        // Few requests, so that the slow load is over soon.
        'docs/design/performance.yaml': 'p95_ms: 300\nerror_rate: 0.01\nrequests: 24\n',
        [SERVER]: [
          ["'/health': (response) => json(response, 200,", "'/health': (response) => json(response, 503,"],
          ['`http_requests_total{app="links"} ${served}\\n`', "'<p>fine</p>'"],
          ['json(response, 200, { code, url })', 'json(response, 200, { code })'],
          [
            "} else if (method === 'DELETE') {",
            "} else if (method === 'DELETE') {\n    json(response, 501, {});\n  } else if (method === 'NEVER') {",
          ],
          ['  let served = 0;', '  let served = 0;\n  let open = 0;\n  let late = 0;'],
          ['createServer((request', 'createServer(async (request'],
          ['    served += 1;', UNDER_LOAD],
        ],
      },
      expect: {
        api_contract_compliance: { atMost: 0.4 },
        api_endpoints_implemented: { atMost: 4 },
        health_check_implemented: { atMost: 0 },
        observability_configured: { atMost: 0 },
        smoke_tests_passed: { atMost: 0.75 },
        performance_slo_met: { atMost: 0.4 },
        response_time_ms: { atLeast: SLOW_MS - 5 },
        response_time_p95: { atLeast: SLOW_MS - 5 },
        error_rate: { atLeast: 0.2 },
      },
    },
    {
      what: 'a service that does not start',
      edits: { 'src/backend/main.js': "throw new Error('no');\n" },
      expect: { health_check_implemented: { notEvaluable: /could not be exercised/ } },
    },
  ],
};

const page: SelfTest = {
  phase: 'frontend',
  clean: {
    expect: {
      ui_component_coverage: { atLeast: 1 },
      components_count: { atLeast: 4 },
      accessibility_score: { atLeast: 1 },
      page_load_time_ms: { atMost: 4900 },
    },
  },
  defects: [
    {
      what: 'a page that lacks components and labels, and blocks while it loads',
      edits: {
        [PAGE]: [
          ['<html lang="en">', '<html>'],
          ['<h1>', '<h1 hidden>'],
          ['id="result"', 'id="answer"'],
          ['<label for="url">Address</label>', ''],
          [
            '</body>',
            '<img src="data:," /><script>const end = Date.now() + 5000; while (Date.now() < end);</script></body>',
          ],
        ],
      },
      expect: {
        ui_component_coverage: { atMost: 0.5 },
        components_count: { atMost: 2 },
        accessibility_score: { atMost: 0.85 },
        page_load_time_ms: { atLeast: 5000 },
      },
    },
  ],
};

/** Defects in what is served, for the collectors that start the software. */
export const runningSelfTests: Readonly<Record<string, SelfTest>> = { service, page };
