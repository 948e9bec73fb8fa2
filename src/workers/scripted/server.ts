import { randomUUID } from 'node:crypto';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { z } from 'zod';
import { FleetError, errorMessage } from '../../shared/errors.ts';
import { SUM_UP, parseJobLine, parseSummedUp } from '../agent/job-line.ts';
import { type Reply, buildReply, replyEvents, sendEvent } from './reply.ts';
import {
  ApiProblem,
  CountRequest,
  MessagesRequest,
  type ModelSize,
  type ScriptedMessage,
  checkRequest,
  checkSize,
} from './request-check.ts';
import { type Script, ScriptFault, ScriptTurn, findScriptJob } from './script-schema.ts';
import { PromptCache, inputTokensOf, piecesOf } from './prompt-cache.ts';
import { RateGate, type ScriptedLimits } from './rate-limits.ts';

const MAX_BODY_BYTES = 32 * 1024 ** 2;

/** Every answer of the stand-in carries this header; a client that sees it knows that no real model spoke. */
export const SIMULATED_HEADER = 'x-maestro-simulated';

export interface ScriptedProvider {
  url: string;
  /** How many requests for a message were received. */
  readonly requests: number;
  /** When each of them came, in milliseconds, and for which model. */
  readonly arrivals: readonly Arrival[];
  /** What it would send a bill for: every request that it began to answer, whether or not anybody heard the end of it. */
  readonly ledger: readonly Charge[];
  close(): Promise<void>;
}

export interface Arrival {
  at: number;
  model: string;
}

/** The stand-in's own count of one request. */
export interface Charge {
  requestId: string;
  at: number;
  model: string;
  inputTokens: number;
  cacheWriteTokens: number;
  cacheReadTokens: number;
  outputTokens: number;
  /** Whether the answer was sent to its end. */
  isComplete: boolean;
}

/** What happens to a request whatever the script says: a fault, headers of its own, or a connection that is cut. */
export interface Interference {
  fault?: z.input<typeof ScriptFault>;
  headers?: Record<string, string>;
  cut?: boolean;
}

interface ScriptedOptions {
  scripts: readonly Script[];
  port?: number;
  host?: string;
  /** Added before every answer. */
  latencyMs?: number;
  /** What it allows in a minute: told in headers, and refused with 429 beyond. */
  limits?: ScriptedLimits;
  /** What its model can take and give. */
  size?: Partial<ModelSize>;
  /**
   * Asked for every request, with how many came before it and the turn that it asks for, `RUN WORKFLOW/PHASE/PERSONA ...`:
   * plays limits, overload and outages, and can keep an answer back.
   */
  interfere?: (request: {
    nth: number;
    model: string;
    turn: string;
  }) => Interference | undefined | Promise<Interference | undefined>;
}

/** Whether the fleet asks for a note in place of the turns so far. */
function isAskedToSumUp(messages: readonly ScriptedMessage[]): boolean {
  const { role, content } = messages.at(-1) ?? {};
  const last = typeof content === 'string' ? undefined : content?.at(-1);
  return role === 'user' && last?.type === 'text' && last.text.startsWith(`${SUM_UP}\n`);
}

/** What is answered when a script says nothing else. */
const sumUpOf = (turns: number): ScriptTurn =>
  ScriptTurn.parse({
    say: ['Done', 'Decisions', 'Files', 'Open', 'Next']
      .map((section) => `## ${section}\nA scripted note of ${turns} turns.`)
      .join('\n'),
  });

/** The turn to play, told from the request alone: any server with the same scripts gives the same answer. */
function chooseTurn(scripts: readonly Script[], messages: readonly ScriptedMessage[]) {
  const first = messages[0]?.content;
  const opening = typeof first === 'string' ? first : first?.[0];
  const text = typeof opening === 'string' ? opening : opening?.type === 'text' ? opening.text : '';
  const wanted = parseJobLine(text);
  if (wanted === undefined) {
    throw new ApiProblem(404, 'not_found_error', 'the first user message does not begin with a valid <job .../> line');
  }
  const title = `${wanted.workflow}/${wanted.phase}/${wanted.persona} ${wanted.kind} round ${wanted.round}`;
  const scene = wanted.scenario === undefined ? '' : ` in scenario ${wanted.scenario}`;
  const job = findScriptJob(scripts, wanted);
  if (job === undefined) throw new ApiProblem(404, 'not_found_error', `no script for ${title}${scene}`);
  const second = typeof first === 'string' ? undefined : first?.[1];
  const replaced = second?.type === 'text' ? parseSummedUp(second.text) : 0;
  const index = replaced + messages.filter((message) => message.role === 'assistant').length;
  if (isAskedToSumUp(messages))
    return { turn: job.sum_up ?? sumUpOf(index), key: `${wanted.run} ${title}${scene} sum up ${index}` };
  const turn = job.turns[index];
  if (turn === undefined) {
    const length = `it has ${job.turns.length}, and turn ${index + 1} was asked for`;
    throw new ApiProblem(404, 'not_found_error', `the script for ${title}${scene} has no more turns: ${length}`);
  }
  if (messages.at(-1)?.role === 'assistant' && job.turns[index - 1]?.stop_reason !== 'pause_turn') {
    const reason =
      'This model does not support assistant message prefill. The conversation must end with a user message.';
    throw new ApiProblem(400, 'invalid_request_error', reason);
  }
  return { turn, key: `${wanted.run} ${title}${scene} ${index}` };
}

function checkHeaders(request: IncomingMessage): void {
  const { authorization } = request.headers;
  if (!request.headers['x-api-key'] && !/^Bearer \S/.test(authorization ?? '')) {
    throw new ApiProblem(401, 'authentication_error', 'x-api-key header is required');
  }
  if (request.headers['anthropic-version'] === undefined) {
    throw new ApiProblem(400, 'invalid_request_error', 'anthropic-version: header is required');
  }
  const version = request.headers['anthropic-version'];
  if (!/^\d{4}-\d{2}-\d{2}$/.test(String(version))) {
    throw new ApiProblem(
      400,
      'invalid_request_error',
      `anthropic-version: "${String(version)}" is not a valid version`,
    );
  }
}

async function readBody(request: IncomingMessage): Promise<{ text: string; json: unknown }> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > MAX_BODY_BYTES) {
      throw new ApiProblem(413, 'request_too_large', 'Request exceeds the maximum allowed number of bytes.');
    }
    chunks.push(bytes);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  try {
    return { text, json: JSON.parse(text) };
  } catch (err) {
    throw new ApiProblem(400, 'invalid_request_error', `The request body is not valid JSON: ${errorMessage(err)}`);
  }
}

function setHeaders(response: ServerResponse, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

/** More than any test looks at; a stand-in that runs for long keeps the last ones. */
const MOST_NOTED = 100_000;

function note<T>(list: T[], entry: T): void {
  list.push(entry);
  if (list.length > MOST_NOTED) list.shift();
}

const SIZE: ModelSize = { context: 200_000, output: 128_000 };

class Stage {
  requests = 0;
  readonly arrivals: Arrival[] = [];
  readonly #scripts: readonly Script[];
  readonly ledger: Charge[] = [];
  readonly #latencyMs: number;
  readonly #size: ModelSize;
  readonly #cache = new PromptCache();
  readonly #gate: RateGate;
  readonly #interfere: ScriptedOptions['interfere'];
  /** Faults that happen once only. The one thing the stand-in remembers; only tests use it. */
  readonly #played = new Set<string>();

  constructor({ scripts, latencyMs = 0, limits, size, interfere }: ScriptedOptions) {
    this.#scripts = scripts;
    this.#size = { ...SIZE, ...size };
    this.#gate = new RateGate(limits);
    this.#latencyMs = latencyMs;
    this.#interfere = interfere;
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = `req_scripted_${randomUUID()}`;
    response.setHeader('request-id', requestId);
    response.setHeader(SIMULATED_HEADER, '1');
    try {
      const path = (request.url ?? '').split('?')[0];
      if (path !== '/v1/messages' && path !== '/v1/messages/count_tokens') {
        throw new ApiProblem(404, 'not_found_error', `Not found: ${path}`);
      }
      if (request.method !== 'POST') throw new ApiProblem(405, 'invalid_request_error', 'Method Not Allowed');
      checkHeaders(request);
      const body = await readBody(request);
      if (path === '/v1/messages') {
        await this.#message(body, response, requestId);
      } else {
        sendJson(response, 200, { input_tokens: inputTokensOf(piecesOf(checkRequest(CountRequest, body.json))) });
      }
    } catch (err) {
      if (response.headersSent) {
        response.destroy();
        return;
      }
      const problem = err instanceof ApiProblem ? err : new ApiProblem(500, 'api_error', errorMessage(err));
      setHeaders(response, problem.headers);
      const error = { type: problem.type, message: problem.message };
      sendJson(response, problem.status, { type: 'error', error, request_id: requestId });
      // The rest of a body that is too large is not read.
      if (problem.status === 413) request.destroy();
    }
  }

  /** The fault to play instead of the turn, once or each time. */
  #faultOf(turn: ScriptTurn, key: string): ScriptTurn['fault'] {
    if (turn.fault?.only_first !== true) return turn.fault;
    if (this.#played.has(key)) return undefined;
    this.#played.add(key);
    return turn.fault;
  }

  async #message(body: { text: string; json: unknown }, response: ServerResponse, requestId: string): Promise<void> {
    this.requests += 1;
    const request = checkRequest(MessagesRequest, body.json);
    note(this.arrivals, { at: Date.now(), model: request.model });
    const pieces = piecesOf(request);
    const inputTokens = inputTokensOf(pieces);
    checkSize(request, inputTokens, this.#size);
    const { turn, key } = chooseTurn(this.#scripts, request.messages);
    const interference = await this.#interfere?.({ nth: this.requests - 1, model: request.model, turn: key });
    const fault = interference?.fault === undefined ? this.#faultOf(turn, key) : ScriptFault.parse(interference.fault);
    this.#pass(inputTokens, request.max_tokens, response);
    await delay(this.#latencyMs + turn.delay_ms);
    if (interference?.cut === true) {
      response.destroy();
      return;
    }
    setHeaders(response, { ...turn.headers, ...interference?.headers });
    if (fault !== undefined && 'status' in fault) {
      const wait = fault.retry_after_s === undefined ? {} : { 'retry-after': String(fault.retry_after_s) };
      const headers = { ...wait, ...fault.headers };
      throw new ApiProblem(fault.status, fault.type, fault.message ?? `scripted ${fault.type}`, headers);
    }
    const reply = buildReply(turn, body.text, this.#cache.take(request.model, pieces));
    const charge = this.#charge(requestId, request.model, reply);
    this.#gate.settle(request.max_tokens - reply.usage.output_tokens);
    if (request.stream === true) await stream(response, reply, turn, fault);
    else sendJson(response, 200, reply);
    charge.isComplete = fault === undefined && !response.destroyed;
  }

  /** Holds a request against what is allowed in a minute. */
  #pass(inputTokens: number, maxTokens: number, response: ServerResponse): void {
    const refused = this.#gate.enter(inputTokens, maxTokens);
    setHeaders(response, this.#gate.headers());
    if (refused === undefined) return;
    const { kind, waitS } = refused;
    const message = `This request would exceed the rate limit of ${kind.replace('-', ' ')} per minute.`;
    throw new ApiProblem(429, 'rate_limit_error', message, { 'retry-after': String(waitS) });
  }

  #charge(requestId: string, model: string, { usage }: Reply): Charge {
    const charge = {
      requestId,
      at: Date.now(),
      model,
      inputTokens: usage.input_tokens,
      cacheWriteTokens: usage.cache_creation_input_tokens,
      cacheReadTokens: usage.cache_read_input_tokens,
      outputTokens: usage.output_tokens,
      isComplete: false,
    };
    note(this.ledger, charge);
    return charge;
  }
}

async function stream(
  response: ServerResponse,
  reply: Reply,
  turn: ScriptTurn,
  fault: ScriptTurn['fault'],
): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
  if (turn.first_token_ms > 0) {
    response.flushHeaders();
    await delay(turn.first_token_ms);
  }
  for (const event of replyEvents(reply, fault !== undefined)) {
    await sendEvent(response, event);
    if (turn.pace_ms > 0) await delay(turn.pace_ms);
    if (response.destroyed) return;
  }
  if (fault === undefined || 'status' in fault) response.end();
  else if (fault.mid_stream === 'cut') response.destroy();
  else if (fault.mid_stream === 'malformed') response.end('event: content_block_delta\ndata: {"type":"content_bl\n\n');
  else if (fault.mid_stream === 'error') {
    const error = { type: fault.type, message: `scripted ${fault.type}` };
    await sendEvent(response, { type: 'error', error });
    response.end();
  }
}

function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (err) => {
      const remedy = 'Choose another port, or 0 for a free one.';
      const message = `the scripted provider cannot listen on ${host}:${port}: ${errorMessage(err)}`;
      reject(new FleetError('PORT_BUSY', message, { cause: err, remedy }));
    });
    server.listen(port, host, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}

/**
 * Starts the stand-in for a model: a local HTTP server that speaks the Messages API and plays scripts.
 * It is as strict about requests as the real API. What it answers depends on the request alone, so any worker can go on
 * from any checkpoint; only its prompt cache, its limits and its ledger remember anything.
 */
export async function startScriptedProvider(options: ScriptedOptions): Promise<ScriptedProvider> {
  const host = options.host ?? '127.0.0.1';
  const stage = new Stage(options);
  const server = createServer((request, response) => {
    void stage.handle(request, response);
  });
  const port = await listen(server, options.port ?? 0, host);
  let closing: Promise<void> | undefined;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    arrivals: stage.arrivals,
    ledger: stage.ledger,
    get requests() {
      return stage.requests;
    },
    close() {
      closing ??= new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      });
      return closing;
    },
  };
}
