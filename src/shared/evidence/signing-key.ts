import { type KeyObject, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { link, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Config } from '../config.ts';
import { FleetError, errorMessage } from '../errors.ts';
import { hasCode, readIfPresent } from '../file-lock.ts';

type KeyFile = Config['signingKey'];

/**
 * The key that signs the evidence of runs: Ed25519, PKCS#8 in PEM. One of this machine's own is made when none is named
 * and none is there; a file that is named has to be there.
 */
export async function signingKey({ file, isOwn }: KeyFile): Promise<KeyObject> {
  const known = await readKey(file, createPrivateKey);
  if (known !== undefined) return known;
  if (!isOwn)
    throw new FleetError('BAD_INPUT', `the signing key ${file} does not exist`, {
      remedy: 'Make it with `openssl genpkey -algorithm ed25519 -out FILE`, or unset MAESTRO_SIGNING_KEY.',
    });
  const { privateKey } = generateKeyPairSync('ed25519');
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  // Whoever links first has made the key; nobody reads half of one.
  const made = `${file}.${process.pid}`;
  await writeFile(made, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  try {
    await link(made, file);
  } catch (err) {
    if (!hasCode(err, 'EEXIST')) throw err;
  } finally {
    await rm(made, { force: true });
  }
  const key = await readKey(file, createPrivateKey);
  if (key === undefined) throw new FleetError('INTERNAL', `the signing key ${file} is gone again`, { retry: true });
  await writeFile(publicFile(file), createPublicKey(key).export({ type: 'spki', format: 'pem' }), { mode: 0o644 });
  return key;
}

/** Beside the key lies its public half, for whoever verifies and may not sign. */
const publicFile = (file: string): string => `${file.replace(/\.pem$/, '')}.pub.pem`;

async function readKey(file: string, parse: (pem: string) => KeyObject): Promise<KeyObject | undefined> {
  const text = await readIfPresent(file).catch((err: unknown) => {
    throw new FleetError('BAD_INPUT', `the key ${file} cannot be read: ${errorMessage(err)}`);
  });
  return text === undefined ? undefined : ed25519(file, () => parse(text));
}

function ed25519(file: string, parse: () => KeyObject): KeyObject {
  let key: KeyObject;
  try {
    key = parse();
  } catch {
    // The reason of OpenSSL could quote the file.
    throw new FleetError('BAD_INPUT', `${file} holds no key in PEM`);
  }
  if (key.asymmetricKeyType !== 'ed25519')
    throw new FleetError('BAD_INPUT', `${file} holds a key of the kind ${key.asymmetricKeyType}, not ed25519`);
  return key;
}

/** The public keys whose signatures count: those of the files that are named, or else the one of this machine. */
export async function trustedKeys(own: KeyFile, files: readonly string[]): Promise<KeyObject[]> {
  if (files.length === 0) {
    const key = (await readKey(publicFile(own.file), createPublicKey)) ?? (await readKey(own.file, createPublicKey));
    return key === undefined ? [] : [key];
  }
  return Promise.all(
    files.map(async (file) => {
      const key = await readKey(file, createPublicKey);
      if (key === undefined) throw new FleetError('BAD_INPUT', `the key ${file} does not exist`);
      return key;
    }),
  );
}
