import { join } from 'node:path';
import { errorMessage } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import type { Sandbox } from '../shared/sandbox/sandbox.ts';
import { MeasureCache } from './measure-cache.ts';
import { SealedCache, isOutOfReach } from './sealed-cache.ts';
import { ProvenCollectors } from './selftest/proven-collectors.ts';
import { SEALED } from './tool-fingerprint.ts';

/** What a process that measures keeps between measurements. */
export interface MeasuringAids {
  selftest: ProvenCollectors;
  cache: MeasureCache | undefined;
}

export interface MeasuringAidsOptions {
  /** The cache folder of this user. */
  cache: string;
  sandbox: Sandbox;
  logger: Logger;
  signal: AbortSignal;
  announce?: (collector: string) => void;
}

/** Opens what was proven and measured before. Where nothing can be kept safely, everything is done anew instead. */
export async function openMeasuringAids(options: MeasuringAidsOptions): Promise<MeasuringAids> {
  const { sandbox, logger, signal, announce } = options;
  const open = async (name: string): Promise<SealedCache | undefined> => {
    if (!isOutOfReach(sandbox)) return undefined;
    try {
      return await SealedCache.open({ folder: join(options.cache, SEALED, name), logger });
    } catch (err) {
      logger.warn({ reason: errorMessage(err) }, `nothing is reused: the folder of ${name} cannot be trusted`);
      return undefined;
    }
  };
  const [proofs, measurements] = [await open('selftests'), await open('measurements')];
  return {
    selftest: new ProvenCollectors({ sandbox, logger, signal, cache: proofs, toolCache: options.cache, announce }),
    cache: measurements && new MeasureCache(measurements, options.cache),
  };
}
