import { type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/** JSON lines on stderr; stdout belongs to the command's own output. */
export function createLogger(options: { level: string; name: string }): Logger {
  return pino(
    {
      level: options.level,
      name: options.name,
      redact: {
        paths: ['*.apiKey', '*.token', '*.authorization', 'apiKey', 'token', 'authorization'],
        censor: '[redacted]',
      },
    },
    pino.destination({ fd: 2, sync: false }),
  );
}

/** A logger that says nothing. */
export const silentLogger = (): Logger => pino({ level: 'silent' });
