/**
 * A TypeScript project of a wanted size: modules that use each other, classes, tests whose expected values were
 * reckoned here and not by the code under test, requirements and documents. The same seed gives the same bytes.
 */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { seeded } from './random.mjs';

const FIRST = [
  'order',
  'invoice',
  'parcel',
  'ticket',
  'route',
  'booking',
  'ledger',
  'coupon',
  'session',
  'tariff',
  'meter',
  'policy',
];
const SECOND = ['plan', 'batch', 'quote', 'audit', 'draft', 'record', 'window', 'bundle', 'region', 'series'];
const NUMBERS = [
  'amount',
  'weight',
  'distance',
  'units',
  'priority',
  'discount',
  'capacity',
  'duration',
  'offset',
  'rate',
  'score',
  'depth',
];
const TEXTS = ['title', 'owner', 'city', 'channel', 'carrier', 'currency', 'comment', 'label', 'segment'];
const FLAGS = ['archived', 'urgent', 'verified', 'taxable', 'shared'];
const VERBS = ['weigh', 'rank', 'settle', 'forecast', 'balance', 'grade', 'rate'];

const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);

/** An arithmetic rule over the number fields of an entity, as source and as a function. */
function formula(random, fields) {
  const terms = random.shuffled(fields).slice(0, random.between(2, 3));
  const parts = terms.map((name) => ({ name, factor: random.between(2, 19) }));
  const base = random.between(1, 400);
  const limit = random.between(300, 900);
  return {
    source: `${parts.map(({ name, factor }) => `item.${name} * ${factor}`).join(' + ')} + ${base}`,
    limit,
    of: (item) => parts.reduce((sum, { name, factor }) => sum + item[name] * factor, base),
  };
}

function describeModule(random, name, before) {
  const numbers = random.shuffled(NUMBERS).slice(0, random.between(3, 5));
  const texts = random.shuffled(TEXTS).slice(0, random.between(2, 3));
  const flags = random.shuffled(FLAGS).slice(0, random.between(1, 2));
  const rules = random
    .shuffled(VERBS)
    .slice(0, random.between(3, 5))
    .map((verb) => ({ verb, ...formula(random, numbers) }));
  const limits = Object.fromEntries(numbers.map((field) => [field, random.between(50, 5000)]));
  const sample = {
    id: `${name}-1`,
    ...Object.fromEntries(texts.map((field) => [field, `${random.pick(SECOND)} ${random.between(10, 99)}`])),
    ...Object.fromEntries(numbers.map((field) => [field, random.between(1, 49)])),
    ...Object.fromEntries(flags.map((field) => [field, random.below(2) === 0])),
  };
  return {
    name,
    type: capital(name),
    numbers,
    texts,
    flags,
    rules,
    limits,
    sample,
    uses: before.length === 0 ? undefined : random.pick(before),
  };
}

function ruleSource({ type, flags }, { verb, source, limit }, index) {
  const shapes = [
    [`  const raw = ${source};`, `  return item.${flags[0]} ? raw - ${limit % 17} : raw;`],
    [
      `  const raw = ${source};`,
      `  if (raw > ${limit}) return ${limit} + Math.floor((raw - ${limit}) / 3);`,
      `  return raw;`,
    ],
    [
      `  let total = 0;`,
      `  for (let step = 1; step <= ${2 + (limit % 4)}; step += 1) {`,
      `    total += (${source}) * step;`,
      `  }`,
      `  return total;`,
    ],
    [
      `  const raw = ${source};`,
      `  switch (raw % 3) {`,
      `    case 0:`,
      `      return raw + ${limit};`,
      `    case 1:`,
      `      return raw - ${limit % 29};`,
      `    default:`,
      `      return raw;`,
      `  }`,
    ],
  ];
  const lines = shapes[index % shapes.length];
  return [
    `/** Reckons how to ${verb} one ${type}. */`,
    `export function ${verb}${type}(item: ${type}): number {`,
    ...lines,
    '}',
    '',
  ];
}

/** What the rule of that shape gives, reckoned without the generated code. */
function expected({ flags, sample }, { of, limit }, index) {
  const raw = of(sample);
  if (index % 4 === 0) return sample[flags[0]] ? raw - (limit % 17) : raw;
  if (index % 4 === 1) return raw > limit ? limit + Math.floor((raw - limit) / 3) : raw;
  if (index % 4 === 2) {
    const steps = 2 + (limit % 4);
    return (raw * steps * (steps + 1)) / 2;
  }
  return raw % 3 === 0 ? raw + limit : raw % 3 === 1 ? raw - (limit % 29) : raw;
}

function moduleSource(module) {
  const { name, type, numbers, texts, flags, rules, limits, uses } = module;
  const field = (names, kind) => names.map((each) => `  readonly ${each}: ${kind};`);
  const [number] = numbers;
  const [text] = texts;
  return [
    `import { type Problem, atMost, filled } from '../checks.ts';`,
    ...(uses === undefined
      ? []
      : [`import { type ${uses.type}, ${uses.rules[0].verb}${uses.type} } from './${uses.name}.ts';`]),
    '',
    `/** One ${name} as it is kept. */`,
    `export interface ${type} {`,
    `  readonly id: string;`,
    ...field(texts, 'string'),
    ...field(numbers, 'number'),
    ...field(flags, 'boolean'),
    '}',
    '',
    `/** Everything that is wrong with a ${name}; nothing when it can be kept. */`,
    `export function check${type}(item: ${type}): Problem[] {`,
    `  return [`,
    `    ...filled('id', item.id),`,
    ...texts.map((each) => `    ...filled('${each}', item.${each}),`),
    ...numbers.map((each) => `    ...atMost('${each}', item.${each}, ${limits[each]}),`),
    `  ];`,
    '}',
    '',
    ...rules.flatMap((rule, index) => ruleSource(module, rule, index)),
    `/** Keeps every ${name} by its id. */`,
    `export class ${type}Store {`,
    `  readonly #items = new Map<string, ${type}>();`,
    '',
    `  /** Keeps it, and throws when something is wrong with it. */`,
    `  add(item: ${type}): ${type} {`,
    `    const [problem] = check${type}(item);`,
    `    if (problem) throw new RangeError(\`\${problem.field} \${problem.message}\`);`,
    `    this.#items.set(item.id, item);`,
    `    return item;`,
    `  }`,
    '',
    `  get(id: string): ${type} | undefined {`,
    `    return this.#items.get(id);`,
    `  }`,
    '',
    `  remove(id: string): boolean {`,
    `    return this.#items.delete(id);`,
    `  }`,
    '',
    `  /** Those with this ${text}, the largest ${number} first. */`,
    `  by${capital(text)}(${text}: string): ${type}[] {`,
    `    return [...this.#items.values()]`,
    `      .filter((item) => item.${text} === ${text} && !item.${flags[0]})`,
    `      .sort((a, b) => b.${number} - a.${number});`,
    `  }`,
    '',
    `  ${number}InAll(): number {`,
    `    let sum = 0;`,
    `    for (const { ${number} } of this.#items.values()) sum += ${number};`,
    `    return sum;`,
    `  }`,
    '}',
    '',
    ...(uses === undefined
      ? []
      : [
          `/** Weighs a ${name} against the ${uses.name} that it belongs to. */`,
          `export function ${name}Against${uses.type}(item: ${type}, other: ${uses.type}): number {`,
          `  const share = ${rules[0].verb}${type}(item) - ${uses.rules[0].verb}${uses.type}(other);`,
          `  return share < 0 ? 0 : share;`,
          '}',
          '',
        ]),
    `/** A line of text for people. */`,
    `export function describe${type}(item: ${type}): string {`,
    `  const marks = [${flags.map((each) => `item.${each} ? '${each}' : ''`).join(', ')}].filter((mark) => mark !== '');`,
    `  const note = marks.length === 0 ? 'plain' : marks.join(', ');`,
    `  return \`\${item.id}: \${item.${text}}, ${number} \${item.${number}} (\${note})\`;`,
    '}',
    '',
  ];
}

function testSource(module) {
  const { name, type, numbers, texts, flags, rules, limits, sample, uses } = module;
  const [number] = numbers;
  const [text] = texts;
  const literal = `const sample: ${type} = ${JSON.stringify(sample)};`;
  const marks = flags.filter((each) => sample[each]);
  const test = (title, lines) => ['', `test('${title}', () => {`, ...lines.map((line) => `  ${line}`), '});'];
  return [
    `import assert from 'node:assert/strict';`,
    `import test from 'node:test';`,
    `import { type ${type}, ${type}Store, check${type}, describe${type}, ${rules.map(({ verb }) => `${verb}${type}`).join(', ')}${uses === undefined ? '' : `, ${name}Against${uses.type}`} } from '../../src/modules/${name}.ts';`,
    ...(uses === undefined ? [] : [`import type { ${uses.type} } from '../../src/modules/${uses.name}.ts';`]),
    '',
    literal,
    ...(uses === undefined ? [] : [`const other: ${uses.type} = ${JSON.stringify(uses.sample)};`]),
    ...rules.flatMap((rule, index) =>
      test(`${rule.verb}s a ${name}`, [`assert.equal(${rule.verb}${type}(sample), ${expected(module, rule, index)});`]),
    ),
    ...test(`a good ${name} has no problem`, [`assert.deepEqual(check${type}(sample), []);`]),
    ...test(`a ${name} with too much ${number} is refused`, [
      `const bad = { ...sample, ${number}: ${limits[number] + 1} };`,
      `assert.deepEqual(check${type}(bad), [{ field: '${number}', message: 'is over ${limits[number]}' }]);`,
      `assert.throws(() => new ${type}Store().add(bad), /${number} is over/);`,
    ]),
    ...test(`a kept ${name} is found and can be removed`, [
      `const store = new ${type}Store();`,
      `store.add(sample);`,
      `assert.equal(store.get('${sample.id}'), sample);`,
      `assert.equal(store.${number}InAll(), ${sample[number]});`,
      `assert.equal(store.by${capital(text)}('${sample[text]}').length, ${sample[flags[0]] ? 0 : 1});`,
      `assert.equal(store.remove('${sample.id}'), true);`,
      `assert.equal(store.get('${sample.id}'), undefined);`,
    ]),
    ...test(`a ${name} is described in one line`, [
      `assert.equal(describe${type}(sample), '${sample.id}: ${sample[text]}, ${number} ${sample[number]} (${marks.length === 0 ? 'plain' : marks.join(', ')})');`,
    ]),
    ...(uses === undefined
      ? []
      : test(`a ${name} is weighed against its ${uses.name}`, [
          `assert.equal(${name}Against${uses.type}(sample, other), ${Math.max(0, expected(module, rules[0], 0) - expected(uses, uses.rules[0], 0))});`,
        ])),
    '',
  ];
}

const CHECKS = `/** What is wrong with one field. */
export interface Problem {
  readonly field: string;
  readonly message: string;
}

/** The field holds text. */
export const filled = (field: string, value: string): Problem[] =>
  value.trim() === '' ? [{ field, message: 'is empty' }] : [];

/** The field holds a number from 0 to the limit. */
export function atMost(field: string, value: number, limit: number): Problem[] {
  if (!Number.isFinite(value) || value < 0) return [{ field, message: 'is no number from 0' }];
  return value > limit ? [{ field, message: \`is over \${limit}\` }] : [];
}
`;
const TSCONFIG = {
  compilerOptions: {
    target: 'es2023',
    module: 'nodenext',
    strict: true,
    skipLibCheck: true,
    rewriteRelativeImportExtensions: true,
    rootDir: 'src',
    outDir: 'dist',
    types: [],
  },
  include: ['src'],
};

/** Writes the project and says how large it is. `fleet` is a checkout whose installed compiler the project uses. */
export function generateProject({ root, fleet, seed, lines }) {
  const random = seeded(seed);
  const names = random.shuffled(FIRST.flatMap((first) => SECOND.map((second) => `${first}${capital(second)}`)));
  const modules = [];
  const sizes = { src: 0, tests: 0, docs: 0, files: 0 };
  const put = (path, text) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
    const [top] = path.split('/');
    if (top in sizes) sizes[top] += text.split('\n').length - 1;
    sizes.files += 1;
  };
  put('src/checks.ts', CHECKS);
  while (sizes.src < lines) {
    const name = names[modules.length];
    if (name === undefined) throw new Error(`${lines} lines are more than ${names.length} modules hold`);
    const module = describeModule(random, name, modules.slice(-6));
    modules.push(module);
    put(`src/modules/${name}.ts`, moduleSource(module).join('\n'));
    // One module in twelve goes untested, so that coverage is no round number.
    if (modules.length % 12 !== 0) put(`tests/unit/${name}.test.ts`, testSource(module).join('\n'));
  }
  put(
    'src/index.ts',
    `${modules.map(({ name, type }) => `export { ${type}Store, check${type} } from './modules/${name}.ts';`).join('\n')}\n`,
  );
  const guarded = modules.slice(0, 10);
  put(
    'tests/regression/requirements.test.ts',
    [
      `import assert from 'node:assert/strict';`,
      `import test from 'node:test';`,
      ...guarded.map(({ name, type }) => `import { check${type} } from '../../src/modules/${name}.ts';`),
      ...guarded.flatMap(({ type, sample }, index) => [
        '',
        `test('FR-${index + 1}: an id is asked for', () => {`,
        `  assert.equal(check${type}({ ...${JSON.stringify(sample)}, id: ' ' })[0]?.field, 'id');`,
        '});',
      ]),
      '',
    ].join('\n'),
  );
  put(
    'docs/requirements/prd.md',
    [
      '# Requirements',
      '',
      '## Functional requirements',
      '',
      ...guarded.map(({ name }, index) => `- **FR-${index + 1}** A ${name} has an id.`),
      '',
    ].join('\n'),
  );
  for (const { name, type, numbers, rules } of modules)
    put(
      `docs/modules/${name}.md`,
      `# ${type}\n\nHolds ${numbers.join(', ')}.\n\n${rules.map(({ verb, source }) => `- ${verb}: \`${source}\``).join('\n')}\n`,
    );
  putManifests(put, fleet);
  symlinkSync(join(fleet, 'node_modules'), join(root, 'node_modules'));
  return { ...sizes, modules: modules.length };
}

function putManifests(put, fleet) {
  const lock = JSON.parse(readFileSync(join(fleet, 'package-lock.json'), 'utf8'));
  const { version, resolved, integrity, license } = lock.packages['node_modules/typescript'];
  const base = { name: 'generated', version: '1.0.0' };
  const devDependencies = { typescript: version };
  const packages = {
    '': { ...base, devDependencies },
    'node_modules/typescript': { version, resolved, integrity, license, dev: true },
  };
  put(
    'package.json',
    `${JSON.stringify({ ...base, type: 'module', private: true, scripts: { build: 'tsc -p tsconfig.json' }, devDependencies }, null, 2)}\n`,
  );
  put('package-lock.json', `${JSON.stringify({ ...base, lockfileVersion: 3, requires: true, packages }, null, 2)}\n`);
  put('tsconfig.json', `${JSON.stringify(TSCONFIG, null, 2)}\n`);
}
