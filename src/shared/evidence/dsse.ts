import { createHash, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { z } from 'zod';

/** What is signed: an in-toto statement (https://in-toto.io/Statement/v1). */
export const PAYLOAD_TYPE = 'application/vnd.in-toto+json';

/** A DSSE envelope, https://github.com/secure-systems-lab/dsse: the payload in base64, and who signed it. */
export const Envelope = z.strictObject({
  payloadType: z.literal(PAYLOAD_TYPE),
  payload: z.base64(),
  signatures: z.array(z.strictObject({ keyid: z.string(), sig: z.base64() })).min(1),
});
export type Envelope = z.infer<typeof Envelope>;

/** The bytes that are signed ("pre-authentication encoding"): type and payload cannot be taken for one another. */
const encoded = (payload: Uint8Array): Buffer =>
  Buffer.concat([
    Buffer.from(`DSSEv1 ${Buffer.byteLength(PAYLOAD_TYPE)} ${PAYLOAD_TYPE} ${payload.byteLength} `),
    payload,
  ]);

/** The sha256 of a public key (SPKI, DER), in hex. */
export const keyIdOf = (key: KeyObject): string =>
  createHash('sha256')
    .update((key.type === 'public' ? key : createPublicKey(key)).export({ type: 'spki', format: 'der' }))
    .digest('hex');

/** Signs a payload with an Ed25519 key. */
export function seal(payload: Uint8Array, key: KeyObject): Envelope {
  return {
    payloadType: PAYLOAD_TYPE,
    payload: Buffer.from(payload).toString('base64'),
    signatures: [{ keyid: keyIdOf(key), sig: sign(null, encoded(payload), key).toString('base64') }],
  };
}

/** The payload, and the one of the trusted keys that signed it; `signedBy` is null when none of them did. */
export function open(envelope: Envelope, trusted: readonly KeyObject[]): { payload: Buffer; signedBy: string | null } {
  const payload = Buffer.from(envelope.payload, 'base64');
  const body = encoded(payload);
  // The name of a key is a hint and nothing else: what counts is whose key the signature fits.
  const key = trusted.find((candidate) =>
    envelope.signatures.some(({ sig }) => verify(null, body, candidate, Buffer.from(sig, 'base64'))),
  );
  return { payload, signedBy: key === undefined ? null : keyIdOf(key) };
}
