/**
 * The settings of the process, read once at start.
 *
 * @typedef {object} Settings
 * @property {number} port 0 lets the system choose a free port.
 * @property {string} dataDir The folder that holds the journal.
 * @property {string | undefined} publicUrl The address that short links are printed with.
 */

const DEFAULT_PORT = 8080;
const HIGHEST_PORT = 65_535;

/**
 * Reads the settings from environment variables and refuses values that cannot work.
 *
 * @param {Record<string, string | undefined>} env
 * @returns {Settings}
 */
export function readSettings(env) {
  return {
    port: readPort(env['PORT']),
    dataDir: env['DATA_DIR'] || 'data',
    publicUrl: readPublicUrl(env['PUBLIC_URL']),
  };
}

/** @param {string | undefined} text */
function readPort(text) {
  if (text === undefined || text === '') return DEFAULT_PORT;
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > HIGHEST_PORT) {
    throw new Error(`PORT is "${text}": give a whole number from 0 to ${HIGHEST_PORT}.`);
  }
  return port;
}

/** @param {string | undefined} text */
function readPublicUrl(text) {
  if (text === undefined || text === '') return undefined;
  if (!URL.canParse(text)) throw new Error(`PUBLIC_URL is "${text}": give a complete URL such as https://go.example.com`);
  return new URL(text).origin;
}
