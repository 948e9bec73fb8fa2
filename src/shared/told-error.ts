import { z } from 'zod';
import { type ErrorCode, FleetError, errorMessage, isErrorCode } from './errors.ts';

/** An error as one process of the fleet tells it to another. */
export const ToldError = z.strictObject({
  code: z.custom<ErrorCode>(isErrorCode),
  message: z.string(),
  remedy: z.string().optional(),
  retry: z.boolean(),
});
export type ToldError = z.infer<typeof ToldError>;

/** What is told of an error; one that is not the fleet's own may be gone when the same is done again. */
export function tellError(err: unknown): ToldError {
  const known = err instanceof FleetError ? err : new FleetError('INTERNAL', errorMessage(err), { retry: true });
  const { code, message, remedy, retry } = known;
  return { code, message, retry, ...(remedy === undefined ? {} : { remedy }) };
}

/** The error that was told. */
export const toldError = ({ code, message, remedy, retry }: ToldError): FleetError =>
  new FleetError(code, message, { retry, ...(remedy === undefined ? {} : { remedy }) });
