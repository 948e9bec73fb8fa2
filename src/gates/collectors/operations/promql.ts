/** A reader of PromQL: says whether an expression can be parsed, and which series it selects. */

/** A label test of a selector. */
export interface Matcher {
  label: string;
  operator: '=' | '!=' | '=~' | '!~';
  value: string;
}

export interface Selector {
  metric: string;
  matchers: Matcher[];
}

const AGGREGATIONS =
  /^(?:sum|avg|min|max|count|count_values|group|stddev|stdvar|topk|bottomk|quantile|limitk|limit_ratio)$/;
const FUNCTION =
  /^(?:abs|absent|absent_over_time|avg_over_time|ceil|changes|clamp|clamp_max|clamp_min|count_over_time|day_of_month|day_of_week|day_of_year|days_in_month|delta|deriv|exp|floor|histogram_avg|histogram_count|histogram_fraction|histogram_quantile|histogram_sum|holt_winters|double_exponential_smoothing|hour|idelta|increase|irate|label_join|label_replace|last_over_time|ln|log10|log2|max_over_time|min_over_time|minute|month|predict_linear|present_over_time|quantile_over_time|rate|resets|round|scalar|sgn|sort|sort_desc|sqrt|stddev_over_time|stdvar_over_time|sum_over_time|time|timestamp|vector|year)$/;
const PRECEDENCE: Readonly<Record<string, number>> = {
  or: 1,
  and: 2,
  unless: 2,
  '==': 3,
  '!=': 3,
  '<=': 3,
  '<': 3,
  '>=': 3,
  '>': 3,
  '+': 4,
  '-': 4,
  '*': 5,
  '/': 5,
  '%': 5,
  atan2: 5,
  '^': 6,
};
const TOKEN =
  /\s*(?:#[^\n]*|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)|(\d+(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*|0x[\da-f]+|\d*\.?\d+(?:e[+-]?\d+)?)|([a-z_][\w:.]*)|(=~|!~|==|!=|<=|>=|[-+*/%^<>=(){}[\],:@]))/iy;
const MAX_TOKENS = 5000;

type Kind = 'string' | 'number' | 'name' | 'sign' | 'end';
interface Token {
  kind: Kind;
  text: string;
}

function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (source.slice(TOKEN.lastIndex).trim() !== '') {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(source);
    if (match === null) throw new SyntaxError(`unexpected "${source.slice(at).trim().slice(0, 20)}"`);
    const [, string, number, name, sign] = match;
    if (string !== undefined) tokens.push({ kind: 'string', text: string.slice(1, -1) });
    else if (number !== undefined) tokens.push({ kind: 'number', text: number });
    else if (name !== undefined) tokens.push({ kind: 'name', text: name });
    else if (sign !== undefined) tokens.push({ kind: 'sign', text: sign });
    if (tokens.length > MAX_TOKENS) throw new SyntaxError('the expression is too long');
  }
  return tokens;
}

class Reader {
  readonly selectors: Selector[] = [];
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  whole(): void {
    this.#expression(0);
    const rest = this.#peek();
    if (rest.kind !== 'end') throw new SyntaxError(`unexpected "${rest.text}"`);
  }

  #peek(ahead = 0): Token {
    return this.#tokens[this.#at + ahead] ?? { kind: 'end', text: 'end' };
  }

  #next(kind?: Kind): Token {
    const token = this.#peek();
    if (token.kind === 'end' || (kind !== undefined && token.kind !== kind)) {
      throw new SyntaxError(`${kind === undefined ? 'something' : `a ${kind}`} is missing before "${token.text}"`);
    }
    this.#at += 1;
    return token;
  }

  #is(text: string): boolean {
    const token = this.#peek();
    return token.kind !== 'string' && token.text.toLowerCase() === text;
  }

  #take(text: string): boolean {
    const found = this.#is(text);
    if (found) this.#at += 1;
    return found;
  }

  #need(text: string): void {
    if (!this.#take(text)) throw new SyntaxError(`"${text}" is missing before "${this.#peek().text}"`);
  }

  #expression(least: number): void {
    this.#unary();
    for (;;) {
      const token = this.#peek();
      const precedence = token.kind === 'string' ? undefined : PRECEDENCE[token.text.toLowerCase()];
      if (precedence === undefined || precedence < least) return;
      this.#at += 1;
      this.#take('bool');
      if (this.#take('on') || this.#take('ignoring')) {
        this.#labels();
        if ((this.#take('group_left') || this.#take('group_right')) && this.#is('(')) this.#labels();
      }
      this.#expression(token.text === '^' ? precedence : precedence + 1);
    }
  }

  #unary(): void {
    if (this.#take('-') || this.#take('+')) return this.#unary();
    this.#operand();
    this.#suffixes();
  }

  #operand(): void {
    if (this.#take('(')) {
      this.#expression(0);
      return this.#need(')');
    }
    if (this.#is('{')) return this.#selector('');
    const token = this.#next();
    if (token.kind === 'number' || token.kind === 'string') return;
    if (token.kind !== 'name') throw new SyntaxError(`unexpected "${token.text}"`);
    if (/^(?:inf|nan)$/i.test(token.text)) return;
    const name = token.text.toLowerCase();
    if (AGGREGATIONS.test(name) && (this.#is('(') || this.#is('by') || this.#is('without'))) return this.#aggregation();
    if (!this.#is('(')) return this.#selector(token.text);
    if (!FUNCTION.test(name)) throw new SyntaxError(`there is no function "${token.text}"`);
    this.#arguments();
  }

  #aggregation(): void {
    const grouping = (): void => {
      if (this.#take('by') || this.#take('without')) this.#labels();
    };
    grouping();
    this.#arguments();
    grouping();
  }

  #arguments(): void {
    this.#need('(');
    if (this.#take(')')) return;
    do this.#expression(0);
    while (this.#take(','));
    this.#need(')');
  }

  #labels(): void {
    this.#need('(');
    while (!this.#take(')')) {
      this.#next('name');
      if (!this.#is(')')) this.#need(',');
    }
  }

  #selector(metric: string): void {
    const matchers: Matcher[] = [];
    if (this.#take('{')) {
      while (!this.#take('}')) {
        const label = this.#next('name').text;
        const sign = this.#next('sign').text;
        if (sign !== '=' && sign !== '!=' && sign !== '=~' && sign !== '!~') {
          throw new SyntaxError(`"${sign}" does not compare a label`);
        }
        matchers.push({ label, operator: sign, value: this.#next('string').text });
        if (!this.#is('}')) this.#need(',');
      }
    }
    const named = matchers.find(({ label, operator }) => label === '__name__' && operator === '=');
    const name = metric === '' ? named?.value : metric;
    if (name === undefined) throw new SyntaxError('a selector without a metric name');
    this.selectors.push({ metric: name, matchers: matchers.filter((each) => each !== named) });
  }

  /** Ranges, subqueries, offsets and @. */
  #suffixes(): void {
    for (;;) {
      if (this.#take('[')) {
        this.#next('number');
        if (this.#take(':') && this.#peek().kind === 'number') this.#at += 1;
        this.#need(']');
      } else if (this.#take('offset')) {
        this.#take('-');
        this.#next('number');
      } else if (this.#take('@')) {
        const { kind } = this.#next();
        if (kind === 'name') this.#arguments();
      } else return;
    }
  }
}

/** The series that an expression selects. Throws a SyntaxError that says what is wrong. */
export function selectorsOf(expression: string): Selector[] {
  const reader = new Reader(tokensOf(expression));
  reader.whole();
  return reader.selectors;
}

/** Dashboards hold variables: `$job` stands for any value, `$__rate_interval` for a time. */
export const withoutVariables = (expression: string): string =>
  expression
    .replace(/\[\s*\$\{?\w+\}?\s*(:?)/g, '[5m$1')
    .replace(/(=~?|!=|!~)\s*(["'])[^"']*\$[^"']*\2/g, '=~$2.*$2')
    .replace(/\$\{?\w+(?::\w+)?\}?/g, '1');

/** Does a label test hold for this value? An absent label is empty. */
export function matches({ operator, value }: Matcher, actual: string): boolean {
  if (operator === '=') return actual === value;
  if (operator === '!=') return actual !== value;
  // Prometheus anchors its expressions; the short length keeps a hostile one from running long.
  if (value.length > 200 || /[*+}]\)?[*+{]/.test(value))
    throw new SyntaxError(`the pattern "${value}" is too involved`);
  const isMatch = new RegExp(`^(?:${value})$`).test(actual);
  return operator === '=~' ? isMatch : !isMatch;
}
