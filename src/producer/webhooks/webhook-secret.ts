import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { FleetError } from '../../shared/errors.ts';

/** As Standard Webhooks writes them. */
export const newSecret = (): string => `whsec_${randomBytes(24).toString('base64')}`;

const keyOf = (passphrase: string): Buffer => Buffer.from(hkdfSync('sha256', passphrase, '', 'maestro webhooks', 32));

/**
 * A secret as it is stored. It has to be read again to sign with it, so it cannot be hashed: with a key it is encrypted
 * (AES-256-GCM, bound to the webhook), without one it is protected by who may read Redis, and nothing else.
 */
export function sealSecret(secret: string, webhookId: string, key: string | undefined): string {
  if (key === undefined) return `plain.${secret}`;
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', keyOf(key), iv).setAAD(Buffer.from(webhookId));
  const text = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
  return ['sealed', ...[iv, cipher.getAuthTag(), text].map((part) => part.toString('base64url'))].join('.');
}

export function openSecret(stored: string, webhookId: string, key: string | undefined): string {
  if (stored.startsWith('plain.')) return stored.slice('plain.'.length);
  const [iv, tag, text] = stored
    .split('.')
    .slice(1)
    .map((part) => Buffer.from(part, 'base64url'));
  if (key === undefined || iv === undefined || tag === undefined || text === undefined)
    throw new FleetError('BAD_USAGE', `the secret of webhook ${webhookId} is encrypted, and no key is set here`, {
      remedy: 'Set MAESTRO_WEBHOOK_KEY as it was when the webhook was added.',
    });
  try {
    const cipher = createDecipheriv('aes-256-gcm', keyOf(key), iv).setAAD(Buffer.from(webhookId)).setAuthTag(tag);
    return Buffer.concat([cipher.update(text), cipher.final()]).toString('utf8');
  } catch (err) {
    throw new FleetError('BAD_USAGE', `the secret of webhook ${webhookId} was encrypted with another key`, {
      cause: err,
      remedy: 'Set MAESTRO_WEBHOOK_KEY as it was when the webhook was added, or add the webhook again.',
    });
  }
}
