/** @typedef {{ code: string, url: string, shortUrl: string, createdAt: string, clicks: number, lastAccessedAt: string | null }} LinkView */
/** @typedef {{ code: string, clicks: number, lastAccessedAt: string | null, daily: { day: string, clicks: number }[] }} LinkStats */

/** The service refused a request, or could not be reached; the message is fit to be shown. */
export class ApiError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = 'ApiError';
  }
}

/**
 * The operations of the service that the page uses (docs/design/openapi.yaml).
 *
 * @param {typeof globalThis.fetch} fetch
 */
export function createApiClient(fetch) {
  /**
   * @param {string} path
   * @param {RequestInit} [init]
   */
  async function call(path, init) {
    const response = await fetch(path, init).catch(() => {
      throw new ApiError('The service cannot be reached.');
    });
    if (!response.ok) throw new ApiError(await reasonOf(response));
    return response.json();
  }

  return {
    /** @param {{ url: string, alias?: string }} wish @returns {Promise<LinkView>} */
    createLink: (wish) =>
      call('/api/links', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(wish),
      }),
    /** @returns {Promise<{ links: LinkView[], total: number }>} */
    listLinks: () => call('/api/links?limit=100'),
    /** @param {string} code @returns {Promise<LinkStats>} */
    getLinkStats: (code) => call(`/api/links/${encodeURIComponent(code)}/stats`),
    /** @param {string} code @returns {Promise<LinkView>} */
    deleteLink: (code) => call(`/api/links/${encodeURIComponent(code)}`, { method: 'DELETE' }),
    /** @returns {Promise<{ status: string, links: number }>} */
    getHealth: () => call('/healthz'),
  };
}

/** @typedef {ReturnType<typeof createApiClient>} ApiClient */

/** @param {Response} response */
async function reasonOf(response) {
  const isProblem = response.headers.get('content-type') === 'application/problem+json';
  if (!isProblem) return `The service answered ${response.status}.`;
  const problem = await response.json();
  return String(problem.detail);
}

/**
 * What to tell people about an error. One that is not of the service is a fault of the page and is thrown on.
 *
 * @param {unknown} err
 * @returns {string}
 */
export function messageOf(err) {
  if (err instanceof ApiError) return err.message;
  throw err;
}
