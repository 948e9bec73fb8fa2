/**
 * The fleet's own lint settings, read from outside the measured project. No setting and no comment of the project
 * changes them. Rules that need type information are left out: the type check is a measurement of its own.
 */
import sonarjs from 'eslint-plugin-sonarjs';
import tseslint from 'typescript-eslint';
import { securityRules } from './security-rules.mjs';

/** Every one of these is a vulnerability to be fixed: error level. */
export const SECURITY = [
  'no-eval',
  'no-implied-eval',
  'no-new-func',
  'no-script-url',
  'sonarjs/code-eval',
  'sonarjs/no-hardcoded-passwords',
  'sonarjs/no-hardcoded-secrets',
  'sonarjs/hardcoded-secret-signatures',
  'sonarjs/weak-ssl',
  'sonarjs/no-weak-cipher',
  'sonarjs/no-weak-keys',
  'sonarjs/hashing',
  'sonarjs/encryption-secure-mode',
  'sonarjs/insecure-jwt-token',
  'sonarjs/unverified-certificate',
  'sonarjs/unverified-hostname',
  'sonarjs/csrf',
  'sonarjs/cors',
  'sonarjs/insecure-cookie',
  'sonarjs/cookie-no-httponly',
  'sonarjs/xml-parser-xxe',
  'sonarjs/file-permissions',
  'sonarjs/production-debug',
  'sonarjs/no-angular-bypass-sanitization',
  'sonarjs/session-regeneration',
  ...Object.keys(securityRules).map((name) => `fleet/${name}`),
];

/** Mistakes: error level. */
const MISTAKES = [
  'constructor-super', 'for-direction', 'getter-return', 'no-async-promise-executor', 'no-case-declarations',
  'no-class-assign', 'no-compare-neg-zero', 'no-cond-assign', 'no-const-assign', 'no-constant-binary-expression',
  'no-constant-condition', 'no-control-regex', 'no-debugger', 'no-delete-var', 'no-dupe-args', 'no-dupe-class-members',
  'no-dupe-else-if', 'no-dupe-keys', 'no-duplicate-case', 'no-empty', 'no-empty-pattern', 'no-ex-assign',
  'no-fallthrough', 'no-func-assign', 'no-global-assign', 'no-import-assign', 'no-invalid-regexp',
  'no-loss-of-precision', 'no-misleading-character-class', 'no-new-native-nonconstructor', 'no-obj-calls',
  'no-prototype-builtins', 'no-redeclare', 'no-self-assign', 'no-setter-return', 'no-shadow-restricted-names',
  'no-sparse-arrays', 'no-this-before-super', 'no-unreachable', 'no-unsafe-finally', 'no-unsafe-negation',
  'no-unsafe-optional-chaining', 'no-useless-catch', 'no-with', 'require-yield', 'use-isnan', 'valid-typeof',
];

/** Sonar rules that repeat a security rule above, or that judge taste or test code. */
const LEFT_OUT = new Set([
  'sonarjs/no-clear-text-protocols', 'sonarjs/no-hardcoded-ip', 'sonarjs/publicly-writable-directories',
  'sonarjs/pseudo-random', 'sonarjs/no-os-command-from-path', 'sonarjs/cyclomatic-complexity', 'sonarjs/x-powered-by',
  'sonarjs/file-header', 'sonarjs/no-unused-vars', 'sonarjs/os-command',
]);
const sonarSmells = Object.entries(sonarjs.configs.recommended.rules)
  .filter(([name, level]) => level !== 'off' && !LEFT_OUT.has(name) && !SECURITY.includes(name))
  .filter(([name]) => sonarjs.rules[name.slice('sonarjs/'.length)]?.meta.docs?.requiresTypeChecking !== true)
  .map(([name, level]) => [name, Array.isArray(level) ? ['warn', ...level.slice(1)] : 'warn']);

/** The rule that reports the cyclomatic complexity of every function; its messages are a measurement, not a complaint. */
export const COMPLEXITY_RULE = 'complexity';

const known = (name) => {
  if (!name.startsWith('sonarjs/')) return true;
  return sonarjs.rules[name.slice('sonarjs/'.length)] !== undefined;
};
const missing = SECURITY.filter((name) => !known(name));
if (missing.length > 0) throw new Error(`Security rules that the installed plugin does not have: ${missing.join(', ')}`);

export const config = [
  {
    files: ['**/*.{js,mjs,cjs,jsx,ts,mts,cts,tsx}'],
    linterOptions: { noInlineConfig: true, reportUnusedDisableDirectives: 'off' },
    languageOptions: {
      parser: tseslint.parser,
      ecmaVersion: 'latest',
      sourceType: 'module',
      parserOptions: { ecmaFeatures: { jsx: true } },
    },
    plugins: { sonarjs, '@typescript-eslint': tseslint.plugin, fleet: { rules: securityRules } },
    rules: {
      ...Object.fromEntries(MISTAKES.map((name) => [name, 'error'])),
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_' }],
      '@typescript-eslint/no-explicit-any': 'warn',
      '@typescript-eslint/no-unused-expressions': 'error',
      'no-var': 'warn',
      'prefer-const': 'warn',
      eqeqeq: ['warn', 'always', { null: 'ignore' }],
      'max-depth': ['warn', 4],
      'max-params': ['warn', 6],
      ...Object.fromEntries(sonarSmells),
      ...Object.fromEntries(SECURITY.map((name) => [name, 'error'])),
      'sonarjs/cognitive-complexity': ['warn', 15],
      [COMPLEXITY_RULE]: ['warn', 0],
    },
  },
  // Bound to TypeScript's own knowledge: there these rules would repeat the compiler.
  { files: ['**/*.{ts,mts,cts,tsx}'], rules: { 'no-redeclare': 'off', 'no-dupe-class-members': 'off' } },
  { files: ['**/*.cjs'], languageOptions: { sourceType: 'commonjs' } },
];
