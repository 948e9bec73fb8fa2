/** The key that asks a worker to stop itself in the middle of its next commit. */
export const freezeKey = (prefix: string, worker: string): string => `${prefix}:chaos:freeze:${worker}`;
