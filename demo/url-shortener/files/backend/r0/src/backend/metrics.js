const BUCKETS_SECONDS = [0.005, 0.01, 0.05, 0.1, 0.2, 0.5, 1];

/** Counts what the service does and writes it in the text format of Prometheus (FR-7). */
export class Metrics {
  /** @type {Map<string, number>} */
  #requests = new Map();
  #buckets = BUCKETS_SECONDS.map(() => 0);
  #seconds = 0;
  #observed = 0;

  /**
   * @param {{ method: string, route: string, status: number, seconds: number }} request
   */
  observe({ method, route, status, seconds }) {
    const labels = `method="${method}",route="${route}",status="${status}"`;
    this.#requests.set(labels, (this.#requests.get(labels) ?? 0) + 1);
    this.#seconds += seconds;
    this.#observed += 1;
    BUCKETS_SECONDS.forEach((limit, index) => {
      if (seconds <= limit) this.#buckets[index] = (this.#buckets[index] ?? 0) + 1;
    });
  }

  /**
   * @param {{ links: number }} gauges
   * @returns {string}
   */
  render({ links }) {
    const name = 'http_request_duration_seconds';
    return [
      '# HELP links_total Short links that exist.',
      '# TYPE links_total gauge',
      `links_total ${links}`,
      '# HELP http_requests_total Requests answered.',
      '# TYPE http_requests_total counter',
      ...[...this.#requests].map(([labels, count]) => `http_requests_total{${labels}} ${count}`),
      `# HELP ${name} Time to answer a request.`,
      `# TYPE ${name} histogram`,
      ...BUCKETS_SECONDS.map((limit, index) => `${name}_bucket{le="${limit}"} ${this.#buckets[index]}`),
      `${name}_bucket{le="+Inf"} ${this.#observed}`,
      `${name}_sum ${this.#seconds}`,
      `${name}_count ${this.#observed}`,
      '',
    ].join('\n');
  }
}
