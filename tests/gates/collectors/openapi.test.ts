import { describe, expect, it } from 'vitest';
import { openapiCollector } from '../../../src/gates/collectors/documents/openapi.ts';
import { Project, collect, measure as measureWith, readingOf } from './documents-support.ts';

const METRIC = 'api_specification_completeness';
const API = 'docs/design/openapi.yaml';
const measure = (project: Project, metric = METRIC) => measureWith(openapiCollector, project, metric);

describe('the openapi collector', () => {
  it('finds a complete document complete', async () => {
    const collected = await collect(openapiCollector, new Project(), [METRIC, 'api_endpoints_count']);
    expect(collected.findings).toEqual([]);
    expect(readingOf(collected, METRIC)).toEqual({ value: 1, examined: 5 });
    expect(readingOf(collected, 'api_endpoints_count')).toEqual({ value: 5, examined: 1 });
  });

  it('counts each thing an operation leaves unsaid', async () => {
    // Four checks on each of five operations, and one more on the operation with a body.
    const collected = await collect(openapiCollector, new Project().edit(API, '      summary: Reads a link\n', ''), [
      METRIC,
    ]);
    expect(readingOf(collected, METRIC)).toEqual({ value: 20 / 21, examined: 5 });
    expect(collected.findings).toMatchObject([{ rule: 'openapi/summary', file: API, line: 33 }]);
  });

  it('wants an error response and a success schema', async () => {
    const project = new Project()
      .edit(
        API,
        "        '204': { description: Forgotten }\n        '404': { $ref: '#/components/responses/Problem' }",
        "        '204': { description: Forgotten }",
      )
      .edit(
        API,
        'content: { application/json: { schema: { type: object, required: [status], properties: { status: { const: ok } } } } }',
        'content: { application/json: {} }',
      );
    const collected = await collect(openapiCollector, project, [METRIC]);
    expect(readingOf(collected, METRIC)).toEqual({ value: 19 / 21, examined: 5 });
    expect(collected.findings.map((found) => found.rule)).toEqual(['openapi/success-schema', 'openapi/error-response']);
  });

  it('is reduced by a lint error', async () => {
    const collected = await collect(
      openapiCollector,
      new Project().edit(API, 'operationId: follow', 'operationId: readLink'),
      [METRIC],
    );
    expect(readingOf(collected, METRIC)).toEqual({ value: 21 / 22, examined: 5 });
    expect(collected.findings).toMatchObject([{ rule: 'openapi/operation-operationId-unique', file: API }]);
  });

  it('is nothing worth when the document is not valid OpenAPI', async () => {
    expect(await measure(new Project().edit(API, 'summary: Reads a link', 'sumary: Reads a link'))).toEqual({
      value: 0,
      examined: 5,
    });
    expect(
      await measure(
        new Project().edit(API, "$ref: '#/components/schemas/NewLink'", "$ref: '#/components/schemas/Gone'"),
      ),
    ).toEqual({ value: 0, examined: 5 });
  });

  it('refuses references that lead out of the file', async () => {
    for (const target of ['http://127.0.0.1:1/x.yaml', '../../package.json', '/etc/passwd']) {
      const project = new Project().edit(API, "'#/components/schemas/NewLink'", `'${target}'`);
      const collected = await collect(openapiCollector, project, [METRIC]);
      expect(readingOf(collected, METRIC)).toContain('points outside this file');
      expect(collected.findings).toMatchObject([{ file: API, line: 21 }]);
    }
  });

  it('cannot judge a document that is missing, empty of operations or no YAML', async () => {
    expect(await measure(new Project().remove(API))).toContain(`${API} does not exist`);
    expect(
      await measure(new Project().write(API, 'openapi: 3.1.0\ninfo: {title: a, version: "1"}\npaths: {}\n')),
    ).toContain('describes no operation');
    expect(await measure(new Project().write(API, 'openapi: [3.1\n'))).toContain(`${API}:`);
    expect(await measure(new Project().remove(API), 'api_endpoints_count')).toContain('does not exist');
  });
});
