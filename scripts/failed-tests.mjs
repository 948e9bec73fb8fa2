// Prints each failed test of a vitest JSON report (the first argument) with the start of its message, or nothing.
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

const MESSAGE_CHARS = 800;

// Of a test that ran out of time the report keeps only where it began.
const short = (message) =>
  message.replace('STACK_TRACE_ERROR', 'ran out of time').slice(0, MESSAGE_CHARS).replaceAll(/^/gm, '  ');

const { testResults } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
for (const { name, status, message, assertionResults } of testResults) {
  if (status !== 'failed') continue;
  const file = relative('.', name);
  const tests = assertionResults.filter((test) => test.status === 'failed');
  if (tests.length === 0) console.log(`FAIL ${file}\n${short(message)}`);
  for (const test of tests) console.log(`FAIL ${file}: ${test.fullName}\n${short(test.failureMessages.join('\n'))}`);
}
