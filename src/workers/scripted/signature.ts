import { createHash } from 'node:crypto';

/** What a thought of the stand-in is signed with; a thought that was changed, or is somebody else's, has another one. */
export const signatureOf = (thinking: string): string =>
  `sig_scripted_${createHash('sha256').update(`scripted ${thinking}`).digest('hex')}`;
