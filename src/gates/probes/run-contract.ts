/** Makes requests from an API document and holds the answers against it. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { objectOf, resolve } from '../collectors/documents/openapi-document.ts';
import type { Answer, Call } from './run-http.ts';

type Json = Record<string, unknown>;

interface Parameter {
  name: string;
  place: string;
  required: boolean;
  example: unknown;
  schema: Json;
}

/** An operation with all its references followed. */
export interface ApiOperation {
  path: string;
  method: string;
  parameters: Parameter[];
  body: { schema: Json; pointer: string; example: unknown; required: boolean } | undefined;
  responses: Json;
  pointer: string;
}

const METHODS = ['post', 'put', 'patch', 'get', 'head', 'options', 'delete'];
const escape = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1');

/** A value as it stands in an address or a header. */
const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

export class Contract {
  readonly #document: { value: Json };
  readonly #ajv: Ajv2020;
  readonly operations: ApiOperation[];

  constructor(document: Json) {
    this.#document = { value: document };
    this.#ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: true });
    addFormats.default(this.#ajv);
    this.#ajv.addSchema(document, 'api');
    this.operations = Object.entries(objectOf(document['paths'])).flatMap(([path, item]) =>
      METHODS.filter((method) => Object.hasOwn(objectOf(item), method)).map((method) =>
        this.#operation(path, method, objectOf(item)),
      ),
    );
  }

  #operation(path: string, method: string, item: Json): ApiOperation {
    const operation = objectOf(item[method]);
    const pointer = `#/paths/${escape(path)}/${method}`;
    const own = [item['parameters'], operation['parameters']].flatMap((list): unknown[] =>
      Array.isArray(list) ? list : [],
    );
    const parameters = own.map((node) => this.#parameter(resolve(this.#document, node)));
    return {
      path,
      method,
      pointer,
      responses: objectOf(operation['responses']),
      body: this.#body(operation, pointer),
      parameters: [
        ...new Map(parameters.map((parameter) => [`${parameter.place} ${parameter.name}`, parameter])).values(),
      ],
    };
  }

  #parameter(node: Json): Parameter {
    const schema = resolve(this.#document, node['schema']);
    const examples = Object.values(objectOf(node['examples'])).map((entry) => objectOf(entry)['value']);
    return {
      name: String(node['name']),
      place: String(node['in']),
      required: node['required'] === true,
      example: node['example'] ?? examples[0] ?? this.#given(schema),
      schema,
    };
  }

  #body(operation: Json, pointer: string): ApiOperation['body'] {
    if (operation['requestBody'] === undefined) return undefined;
    const isReference = typeof objectOf(operation['requestBody'])['$ref'] === 'string';
    const base = isReference ? String(objectOf(operation['requestBody'])['$ref']) : `${pointer}/requestBody`;
    const node = resolve(this.#document, operation['requestBody']);
    const [type, media] = Object.entries(objectOf(node['content'])).find(([name]) => /[/+]json\b/.test(name)) ?? [];
    if (type === undefined) return undefined;
    const entry = objectOf(media);
    const examples = Object.values(objectOf(entry['examples'])).map(
      (example) => objectOf(resolve(this.#document, example))['value'],
    );
    return {
      schema: resolve(this.#document, entry['schema']),
      pointer: `${base}/content/${escape(type)}/schema`,
      example: entry['example'] ?? examples[0] ?? this.sample(entry['schema']),
      required: node['required'] === true,
    };
  }

  /** A value that the schema itself names. */
  #given(schema: Json): unknown {
    const lists = [schema['examples'], schema['enum']].flatMap((list): unknown[] =>
      Array.isArray(list) ? list.slice(0, 1) : [],
    );
    return schema['example'] ?? schema['const'] ?? schema['default'] ?? lists[0];
  }

  /** A value that fits a schema: the named example where there is one, else the plainest of its type. */
  sample(node: unknown, depth = 0): unknown {
    const schema = resolve(this.#document, node);
    const given = this.#given(schema);
    if (given !== undefined || depth > 8) return given;
    const [variant] = ['oneOf', 'anyOf'].flatMap((key): unknown[] => {
      const list = schema[key];
      return Array.isArray(list) ? list : [];
    });
    if (variant !== undefined) return this.sample(variant, depth + 1);
    if (Array.isArray(schema['allOf'])) {
      const parts = schema['allOf'].map((part: unknown) => this.sample(part, depth + 1));
      return Object.assign({}, ...parts.map(objectOf));
    }
    const type = Array.isArray(schema['type']) ? textOf(schema['type'][0]) : textOf(schema['type'] ?? 'object');
    if (type === 'object') {
      const properties = Object.entries(objectOf(schema['properties']));
      return Object.fromEntries(properties.map(([name, inner]) => [name, this.sample(inner, depth + 1)]));
    }
    if (type === 'array') return [this.sample(schema['items'], depth + 1)];
    if (type === 'integer' || type === 'number') return Number(schema['minimum'] ?? 1);
    if (type === 'boolean') return true;
    return type === 'null' ? null : sampleText(schema);
  }

  /** Bodies that the operation's own schema refuses. */
  invalidBodies(operation: ApiOperation): string[] {
    const { body } = operation;
    if (body === undefined) return [];
    const [first] = Object.keys(objectOf(objectOf(body.schema)['properties']));
    const wrongType = first === undefined ? [] : [{ ...objectOf(body.example), [first]: { not: 'this type' } }];
    const refused = [{}, ...wrongType, [], 42].filter(
      (candidate) => this.#errors(body.pointer, candidate) !== undefined,
    );
    return [...refused.slice(0, 2).map((candidate) => JSON.stringify(candidate)), '{"not json'];
  }

  /** A path value of the right form that names nothing. */
  unknownValue(parameter: Parameter): unknown {
    const example = textOf(parameter.example ?? '');
    const candidates = [
      999_999_999,
      '00000000-0000-4000-8000-000000000000',
      example.replace(/[a-z]/g, 'z').replace(/[A-Z]/g, 'Z').replace(/\d/g, '9'),
    ];
    const validate = this.#ajv.compile(parameter.schema['$ref'] === undefined ? { ...parameter.schema } : {});
    return candidates.find((candidate) => candidate !== '' && String(candidate) !== example && validate(candidate));
  }

  #errors(pointer: string, value: unknown): string | undefined {
    const validate = this.#ajv.getSchema(`api${pointer}`) ?? this.#ajv.compile({ $ref: `api${pointer}` });
    return validate(value) === true ? undefined : this.#ajv.errorsText(validate.errors, { dataVar: 'body' });
  }

  /** What is wrong with an answer; empty when it keeps the contract. */
  check(operation: ApiOperation, answer: Answer): { rule: string; message: string }[] {
    const key = [String(answer.status), `${Math.floor(answer.status / 100)}XX`, 'default'].find((name) =>
      Object.hasOwn(operation.responses, name),
    );
    if (answer.status === 0) return [{ rule: 'no-answer', message: `gave no answer: ${answer.error ?? ''}` }];
    if (key === undefined)
      return [{ rule: 'undocumented-status', message: `answered ${answer.status}, which is not documented` }];
    const node = objectOf(operation.responses[key]);
    const pointer = typeof node['$ref'] === 'string' ? node['$ref'] : `${operation.pointer}/responses/${key}`;
    const response = resolve(this.#document, node);
    return [...this.#checkHeaders(response, answer), ...this.#checkBody(operation, response, pointer, answer)];
  }

  #checkHeaders(response: Json, answer: Answer): { rule: string; message: string }[] {
    return Object.entries(objectOf(response['headers'])).flatMap(([name, node]) => {
      const isRequired = resolve(this.#document, node)['required'] === true;
      return isRequired && answer.headers[name.toLowerCase()] === undefined
        ? [{ rule: 'missing-header', message: `answered ${answer.status} without the header ${name}` }]
        : [];
    });
  }

  #checkBody(
    operation: ApiOperation,
    response: Json,
    pointer: string,
    answer: Answer,
  ): { rule: string; message: string }[] {
    const content = objectOf(response['content']);
    const types = Object.keys(content);
    const sentType = (answer.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
    if (types.length === 0 || operation.method === 'head') return [];
    const type = types.find((name) => name.toLowerCase() === sentType || name === '*/*');
    if (type === undefined) {
      return [
        {
          rule: 'content-type',
          message: `answered ${answer.status} as "${sentType}", documented is ${types.join(', ')}`,
        },
      ];
    }
    const schema = objectOf(content[type])['schema'];
    if (schema === undefined) return [];
    let value: unknown = answer.body;
    if (/[/+]json\b/.test(type)) {
      try {
        value = JSON.parse(answer.body);
      } catch {
        return [{ rule: 'invalid-json', message: `answered ${answer.status} with a body that is no JSON` }];
      }
    }
    const errors = this.#errors(`${pointer}/content/${escape(type)}/schema`, value);
    return errors === undefined
      ? []
      : [{ rule: 'response-schema', message: `answered ${answer.status} against its schema: ${errors}` }];
  }
}

function sampleText(schema: Json): string {
  const samples: Record<string, string> = {
    uri: 'https://example.com/a',
    url: 'https://example.com/a',
    email: 'someone@example.com',
    uuid: '00000000-0000-4000-8000-000000000001',
    'date-time': '2026-01-01T00:00:00Z',
    date: '2026-01-01',
  };
  return (samples[String(schema['format'])] ?? 'text').padEnd(Number(schema['minLength'] ?? 0), 'x');
}

/** A request for an operation, or the names of the parameters that have no example. */
export function buildCall(
  operation: ApiOperation,
  known: ReadonlyMap<string, string>,
  change: { path?: ReadonlyMap<string, string>; body?: string } = {},
): Call | { missing: string[] } {
  const missing: string[] = [];
  const query = new URLSearchParams();
  const headers: Record<string, string> = { accept: '*/*' };
  let { path } = operation;
  for (const parameter of operation.parameters) {
    const found =
      change.path?.get(parameter.name) ??
      (parameter.place === 'path' ? known.get(parameter.name.toLowerCase()) : undefined);
    const value = found ?? parameter.example;
    if (value === undefined || value === null) {
      if (parameter.required || parameter.place === 'path') missing.push(parameter.name);
    } else if (parameter.place === 'path')
      path = path.replace(`{${parameter.name}}`, encodeURIComponent(textOf(value)));
    else if (parameter.place === 'query') query.set(parameter.name, textOf(value));
    else if (parameter.place === 'header') headers[parameter.name.toLowerCase()] = textOf(value);
  }
  if (missing.length > 0) return { missing };
  const body = change.body ?? (operation.body === undefined ? undefined : JSON.stringify(operation.body.example));
  if (body !== undefined) headers['content-type'] = 'application/json';
  const search = query.toString();
  return { method: operation.method.toUpperCase(), path: search === '' ? path : `${path}?${search}`, headers, body };
}
