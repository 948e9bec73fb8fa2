import { createConnection } from 'node:net';

/** The part of PostgreSQL's protocol 3 that sends one text and reads its rows, over a local socket with trust. */

/** The server's refusal of a query. */
export class PostgresError extends Error {
  readonly position: number | undefined;

  constructor(said: string, position: number | undefined) {
    super(said);
    this.position = position;
  }
}

export interface Connection {
  /** Runs a text of one or more statements. Rows of the last that gave some, as text; NULL is empty. */
  query(sql: string): Promise<string[][]>;
  end(): void;
}

const PROTOCOL = 196_608;
const CODE = { authentication: 'R', ready: 'Z', error: 'E', row: 'D', description: 'T', copyIn: 'G' } as const;

function message(kind: string, body: Buffer): Buffer {
  const head = Buffer.alloc(kind.length + 4);
  head.write(kind, 0, 'latin1');
  head.writeInt32BE(body.length + 4, kind.length);
  return Buffer.concat([head, body]);
}

const text = (value: string): Buffer => Buffer.from(`${value}\0`, 'utf8');

function errorIn(body: Buffer): PostgresError {
  const fields = new Map(
    body
      .toString('utf8')
      .split('\0')
      .filter((field) => field !== '')
      .map((field) => [field.slice(0, 1), field.slice(1)]),
  );
  const position = fields.get('P');
  return new PostgresError(
    `${fields.get('M') ?? 'unknown error'} (${fields.get('C') ?? '?'})`,
    position === undefined ? undefined : Number(position),
  );
}

function rowIn(body: Buffer): string[] {
  const row: string[] = [];
  let at = 2;
  for (let left = body.readInt16BE(0); left > 0; left -= 1) {
    const length = body.readInt32BE(at);
    at += 4;
    row.push(length < 0 ? '' : body.toString('utf8', at, at + length));
    at += Math.max(length, 0);
  }
  return row;
}

/** Opens a connection and waits until the server is ready for a query. */
export async function connect(path: string, user: string, database: string): Promise<Connection> {
  const socket = createConnection(path);
  let buffer = Buffer.alloc(0);
  let rows: string[][] = [];
  let fault: Error | undefined;
  let settle: ((fault: Error | undefined) => void) | undefined;
  const take = (kind: string, body: Buffer): void => {
    if (kind === CODE.error) fault ??= errorIn(body);
    else if (kind === CODE.description) rows = [];
    else if (kind === CODE.row) rows.push(rowIn(body));
    else if (kind === CODE.copyIn) socket.write(message('f', text('there is nothing to copy from')));
    else if (kind === CODE.authentication && body.readInt32BE(0) !== 0) fault = new Error('a password is asked for');
    else if (kind === CODE.ready) settle?.(fault);
  };
  socket.on('data', (chunk) => {
    buffer = Buffer.concat([buffer, Buffer.from(chunk)]);
    while (buffer.length >= 5 && buffer.length > buffer.readInt32BE(1)) {
      const end = 1 + buffer.readInt32BE(1);
      const [kind, body] = [buffer.toString('latin1', 0, 1), buffer.subarray(5, end)];
      buffer = buffer.subarray(end);
      take(kind, body);
    }
  });
  const lost = (err?: Error): void => settle?.(fault ?? err ?? new Error('PostgreSQL closed the connection'));
  socket.on('error', lost);
  socket.on('close', () => lost());
  const exchange = (bytes: Buffer): Promise<string[][]> =>
    new Promise((resolve, reject) => {
      [rows, fault] = [[], undefined];
      settle = (failed) => {
        settle = undefined;
        if (failed) reject(failed);
        else resolve(rows);
      };
      socket.write(bytes);
    });
  const version = Buffer.alloc(4);
  version.writeInt32BE(PROTOCOL);
  const parameters = Buffer.concat([text('user'), text(user), text('database'), text(database), Buffer.from([0])]);
  await exchange(message('', Buffer.concat([version, parameters])));
  return {
    query: (sql) => exchange(message('Q', text(sql.replaceAll('\0', '')))),
    end: () => socket.end(message('X', Buffer.alloc(0))),
  };
}
