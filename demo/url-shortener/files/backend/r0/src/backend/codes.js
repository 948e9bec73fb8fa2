import { randomInt } from 'node:crypto';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** 62^8 codes: guessing one of a million links takes about 200 million requests. */
export const CODE_LENGTH = 8;

/**
 * Makes a code that cannot be foreseen (NFR-4).
 *
 * @param {(exclusiveMax: number) => number} [pick]
 * @returns {string}
 */
export function newCode(pick = randomInt) {
  return Array.from({ length: CODE_LENGTH }, () => ALPHABET.charAt(pick(ALPHABET.length))).join('');
}
