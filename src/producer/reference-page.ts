import { z } from 'zod';

const Content = z.record(z.string(), z.looseObject({ schema: z.unknown() }));
const Operation = z.looseObject({
  operationId: z.string(),
  summary: z.string(),
  'x-scope': z.string(),
  parameters: z.array(
    z.looseObject({
      name: z.string(),
      in: z.string(),
      required: z.boolean(),
      description: z.string().optional(),
      schema: z.unknown(),
    }),
  ),
  requestBody: z.looseObject({ content: Content }).optional(),
  responses: z.record(z.string(), z.looseObject({ description: z.string(), content: Content.optional() })),
});
const Document = z.looseObject({
  info: z.looseObject({ title: z.string(), description: z.string() }),
  paths: z.record(z.string(), z.record(z.string(), Operation)),
  components: z.looseObject({ schemas: z.record(z.string(), z.unknown()) }),
});
interface Described extends z.infer<typeof Operation> {
  method: string;
  path: string;
}

const ESCAPES: Partial<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const esc = (text: string): string => text.replaceAll(/[&<>"]/g, (sign) => ESCAPES[sign] ?? sign);

const GROUPS: readonly (readonly [title: string, pattern: RegExp])[] = [
  ['Workflows and uploads', /^\/api\/(workflows|uploads)/],
  [
    'Runs',
    /^\/api\/runs(\/\{id\}(\/(gates|report|evidence(\.jsonl)?|costs|events|cancel|pause|resume|retry|approvals.*|questions.*))?)?$/,
  ],
  ['Files of a run', /^\/api\/runs/],
  ['Webhooks', /^\/api\/webhooks/],
  ['The fleet', /^\/api\//],
  ['The service itself', /./],
];
const groupOf = (path: string): string => GROUPS.find(([, pattern]) => pattern.test(path))?.[0] ?? '';

/** A page for people, made from the OpenAPI document alone: no scripts, nothing loaded from anywhere. */
export function referencePage(openApi: unknown): string {
  const { info, paths, components } = Document.parse(openApi);
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, one]): Described => ({ ...one, method, path })),
  );
  const groups = GROUPS.map(([title]): [string, Described[]] => [
    title,
    operations.filter(({ path }) => groupOf(path) === title),
  ]);
  const shown = groups.filter(([, members]) => members.length > 0);
  const schemas = Object.entries(components.schemas).toSorted(([a], [b]) => a.localeCompare(b));
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${esc(info.title)}: HTTP API</title><style>${STYLE}</style></head><body>
<nav aria-label="Operations"><a class="home" href="/">${esc(info.title)}</a>
${shown.map(([title, members]) => `<h2>${esc(title)}</h2><ul>${members.map(navLine).join('')}</ul>`).join('')}
<h2>Schemas</h2><ul>${schemas.map(([name]) => `<li><a href="#schema-${esc(name)}">${esc(name)}</a></li>`).join('')}</ul></nav>
<main><h1>HTTP API</h1><p>${esc(info.description)} Programs read <a href="/openapi.json">/openapi.json</a>, from which this page is made.</p>
<p>Send a token as <code>Authorization: Bearer TOKEN</code>; <code>maestro token create --name NAME --scope read</code> makes one. Each operation names the scope it needs; <code>admin</code> may do everything. Whatever is refused is answered with a <a href="#schema-Problem">problem document</a> (RFC 9457).</p>
${shown.map(([title, members]) => `<h2>${esc(title)}</h2>${members.map(section).join('')}`).join('')}
<h2>Schemas</h2>${schemas.map(([name, schema]) => `<details id="schema-${esc(name)}"><summary><code>${esc(name)}</code></summary>${schemaText(schema)}</details>`).join('')}
</main></body></html>`;
}

const navLine = ({ operationId, method, path }: Described): string =>
  `<li><a href="#${esc(operationId)}"><b class="m ${esc(method)}">${esc(method)}</b> ${esc(path.replace(/^\/api/, ''))}</a></li>`;

function section(one: Described): string {
  const scope = one['x-scope'];
  const needs = scope === 'open' ? 'no token' : `scope ${scope === 'approve' ? 'approve:ROLE' : scope}`;
  const responses = Object.entries(one.responses).map(
    ([status, { description, content = {} }]) =>
      `<tr><th scope="row">${esc(status)}</th><td>${esc(description)}</td><td>${contentLinks(content)}</td></tr>`,
  );
  const body = one.requestBody === undefined ? '' : `<p>Body: ${contentLinks(one.requestBody.content)}</p>`;
  return `<section id="${esc(one.operationId)}"><h3><b class="m ${esc(one.method)}">${esc(one.method)}</b> <code>${esc(one.path)}</code> <span class="scope">${esc(needs)}</span></h3>
<p>${esc(one.summary)}</p>${parameterTable(one)}${body}<table><caption>Answers</caption><tbody>${responses.join('')}</tbody></table></section>`;
}

function parameterTable({ parameters }: Described): string {
  if (parameters.length === 0) return '';
  const rows = parameters.map(({ name, in: place, required, description = '', schema }) => {
    const about =
      description === '' ? z.looseObject({ description: z.string() }).safeParse(schema).data?.description : description;
    const marks = `${place}${required ? ', required' : ''}`;
    return `<tr><th scope="row"><code>${esc(name)}</code></th><td>${esc(marks)}</td><td>${esc(about ?? '')}<code class="type">${esc(typeOf(schema))}</code></td></tr>`;
  });
  return `<table><caption>Parameters</caption><tbody>${rows.join('')}</tbody></table>`;
}

const Typed = z.looseObject({
  type: z.string().optional(),
  enum: z.array(z.unknown()).optional(),
  format: z.string().optional(),
  default: z.unknown().optional(),
});
function typeOf(schema: unknown): string {
  const { type = '', enum: words, format, default: fallback } = Typed.safeParse(schema).data ?? {};
  const values = words === undefined ? (format ?? type) : words.map(String).join(' | ');
  return fallback === undefined ? values : `${values} (default ${JSON.stringify(fallback)})`.trim();
}

const contentLinks = (content: z.infer<typeof Content>): string =>
  Object.entries(content)
    .map(([type, { schema }]) => {
      const ref = z.looseObject({ $ref: z.string() }).safeParse(schema).data?.$ref;
      const name = ref?.split('/').at(-1);
      const link = name === undefined ? '' : ` <a href="#schema-${esc(name)}">${esc(name)}</a>`;
      return `<code>${esc(type)}</code>${link}`;
    })
    .join(' or ');

const schemaText = (schema: unknown): string => `<pre tabindex="0">${esc(JSON.stringify(schema, null, 2))}</pre>`;

const STYLE = `
:root{color-scheme:light dark;--line:light-dark(#d8dee6,#333c48);--soft:light-dark(#f5f7fa,#171c23);--text:light-dark(#1c2430,#e3e8ef);--dim:light-dark(#55606e,#9fabba);--accent:light-dark(#0b5cad,#7cb8ff)}
*{box-sizing:border-box}body{margin:0;display:flex;font:15px/1.55 system-ui,sans-serif;color:var(--text);background:light-dark(#fff,#0f1318)}
nav{width:20rem;flex:none;height:100vh;position:sticky;top:0;overflow:auto;padding:1rem;border-right:1px solid var(--line);background:var(--soft);font-size:.8rem}
nav h2{font-size:.72rem;text-transform:uppercase;letter-spacing:.06em;color:var(--dim);margin:1.2rem 0 .3rem}nav ul{list-style:none;margin:0;padding:0}
nav li a{display:block;padding:.15rem 0;color:inherit;text-decoration:none;overflow-wrap:anywhere}nav a:hover{color:var(--accent)}nav .home{font-weight:700;font-size:1rem;color:inherit;text-decoration:none}
main{flex:1;min-width:0;max-width:60rem;padding:1.5rem 2.5rem 6rem}h1{margin:.2rem 0}main>h2{margin:3rem 0 1rem;padding-bottom:.3rem;border-bottom:1px solid var(--line)}
a{color:var(--accent)}code,pre{font-family:ui-monospace,monospace;font-size:.88em}section{padding:1rem 1.2rem;margin:0 0 1rem;border:1px solid var(--line);border-radius:8px;scroll-margin-top:1rem}
section:target{border-color:var(--accent);box-shadow:0 0 0 1px var(--accent)}h3{margin:0;font-size:1rem;display:flex;flex-wrap:wrap;gap:.5rem;align-items:center;overflow-wrap:anywhere}
.m{display:inline-block;min-width:3.4em;text-align:center;text-transform:uppercase;font:700 .7rem/1.6 ui-monospace,monospace;border-radius:4px;color:#fff;background:#1f6a3a}.m.post{background:#0b5cad}.m.put{background:#85540b}.m.delete{background:#a82b2b}
.scope{margin-left:auto;font-size:.75rem;color:var(--dim);border:1px solid var(--line);border-radius:99px;padding:.05rem .6rem}section p{margin:.5rem 0}
table{border-collapse:collapse;width:100%;margin:.6rem 0 0;font-size:.88rem}caption{text-align:left;font-weight:600;color:var(--dim);font-size:.75rem;padding-bottom:.2rem}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-top:1px solid var(--line);font-weight:400}th{width:9rem}
.type{display:block;color:var(--dim)}details{border-top:1px solid var(--line);padding:.4rem 0;scroll-margin-top:1rem}summary{cursor:pointer}pre{overflow:auto;max-height:32rem;background:var(--soft);border:1px solid var(--line);border-radius:6px;padding:.8rem}
@media(max-width:50rem){body{display:block}nav{width:auto;height:auto;max-height:40vh;position:static;border-right:0;border-bottom:1px solid var(--line)}main{padding:1rem}.scope{margin-left:0}td{overflow-wrap:anywhere}}
`;
